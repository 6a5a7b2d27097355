"""Files of weights, whatever they hold: opened safely, recognised, written whole."""
