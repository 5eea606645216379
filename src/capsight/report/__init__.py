"""Tables and pictures made from artefacts; needs no model."""
