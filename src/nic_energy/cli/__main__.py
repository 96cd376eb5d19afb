"""`python -m nic_energy.cli`."""

from nic_energy.cli.entry import main

if __name__ == "__main__":
    main()
