"""The colours of classes, normals and palettes."""
