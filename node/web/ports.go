package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// portsFile is the file's name, in the directory of a node.
const portsFile = "ports.json"

// maxPorts bounds what is read of it: it has under 300 bytes.
const maxPorts = 4 << 10

// Ports are where a running node listens. The node writes them when it knows
// them, so that port 0 is of use, and removes them when it ends; after a crash
// they may be there and nobody behind them.
type Ports struct {
	Role   string `json:"role"`
	Hotkey string `json:"hotkey"`
	PID    int    `json:"pid"`
	HTTP   string `json:"http"`           // HOST:PORT of the page, health and metrics
	Axon   string `json:"axon,omitempty"` // HOST:PORT peers are served at
	// Starting: the store is being read, and Axon is not known yet.
	Starting bool `json:"starting,omitempty"`
}

// WritePorts writes the ports file of a node's directory. Who reads it sees the
// old one or the new one, never a half.
func WritePorts(dir string, p Ports) error {
	data, err := json.Marshal(p)
	if err != nil {
		return fmt.Errorf("write ports: %w", err)
	}
	f, err := os.CreateTemp(dir, portsFile+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write ports: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, portsFile))
	}
	if err != nil {
		return fmt.Errorf("write ports: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// ReadPorts reads the ports file of a node's directory.
func ReadPorts(dir string) (Ports, error) {
	f, err := os.Open(filepath.Join(dir, portsFile))
	if err != nil {
		return Ports{}, fmt.Errorf("read ports: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxPorts+1))
	switch {
	case err != nil:
		return Ports{}, fmt.Errorf("read ports of %s: %w", dir, err)
	case len(data) > maxPorts:
		return Ports{}, fmt.Errorf("read ports of %s: more than %d bytes", dir, maxPorts)
	}
	return decodePorts(data)
}

func decodePorts(data []byte) (p Ports, err error) {
	if err := json.Unmarshal(data, &p); err != nil {
		return Ports{}, fmt.Errorf("read ports: %w", err)
	}
	if p.HTTP == "" {
		return Ports{}, errors.New("read ports: no address")
	}
	return p, nil
}

// RemovePorts removes the ports file; that there is none is no error.
func RemovePorts(dir string) error {
	if err := os.Remove(filepath.Join(dir, portsFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove ports: %w", err)
	}
	return nil
}

// FindPorts looks for nodes below a base directory, where each has one called
// NETWORK/NETUID/ROLE-HOTKEY. What cannot be read is left out.
func FindPorts(base string) []Ports {
	files, err := filepath.Glob(filepath.Join(base, "*", "*", "*", portsFile))
	if err != nil {
		return nil // the pattern is wrong: base holds a bracket
	}
	var out []Ports
	for _, f := range files {
		if p, err := ReadPorts(filepath.Dir(f)); err == nil {
			out = append(out, p)
		}
	}
	return out
}
