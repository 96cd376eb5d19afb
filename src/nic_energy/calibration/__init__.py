"""An external meter beside the sensor: clocks aligned, energies compared, gain and offset."""
