"""A trained or fresh `Recurrent` as an ONNX model, written from the cell's graph.

graph      nodes and constants of a model, as they are added
formulas   formulas of the op table as ONNX operators
layer      one direction of a layer: state-independent values, and a Scan over the steps
model      a stack of layers with its inputs and outputs
check      the model against the module, by ONNX's own reference evaluator
"""
