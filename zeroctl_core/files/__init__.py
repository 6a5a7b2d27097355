"""Files of weights, whatever they hold: opened safely, told apart, written whole."""
