package sock

import (
	"crypto/tls"
	"fmt"
)

// serverTLS is what the listener speaks; nil for no TLS.
func (c *Config) serverTLS() (*tls.Config, error) {
	if c.CertFile == "" && c.KeyFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("load the axon's certificate %q and key %q (both PEM, both needed): %w", c.CertFile, c.KeyFile, err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}, nil
}

// clientTLS is what dialling wss:// and https:// speaks.
func (c *Config) clientTLS() *tls.Config {
	return &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}
