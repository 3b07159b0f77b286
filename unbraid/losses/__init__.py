"""Losses: functions of tensors that return a scalar, without parameters, configs, ranks or logs."""
