package sock

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// ErrCertificate is the error of files that should hold a certificate, its key,
// or authorities, and do not.
var ErrCertificate = errors.New("no usable certificate")

// ReadRoots reads authorities from a PEM file, for Config.Roots.
func ReadRoots(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the authorities to trust: %w: %w", ErrCertificate, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read the authorities to trust: %w: %s holds no certificate in PEM", ErrCertificate, file)
	}
	return roots, nil
}

// lookEvery is the time between two looks at the files of a certificate, which
// its owner renews weeks ahead.
const lookEvery = time.Minute

// keypair is the listener's certificate, read again when its files change. While
// they hold none, the one before stays.
type keypair struct {
	certFile, keyFile string
	count             *counters

	mu     sync.Mutex
	looked time.Time
	seen   [2]stamp
	pair   *tls.Certificate
}

// stamp tells one content of a file from another.
type stamp struct {
	at   time.Time
	size int64
}

func (k *keypair) stamps() (s [2]stamp) {
	for i, name := range [...]string{k.certFile, k.keyFile} {
		if info, err := os.Stat(name); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

// load reads the files. The caller holds mu.
func (k *keypair) load() error {
	pair, err := tls.LoadX509KeyPair(k.certFile, k.keyFile)
	if err != nil {
		return fmt.Errorf("load the axon's certificate %q and key %q (both PEM, both needed): %w: %w", k.certFile, k.keyFile, ErrCertificate, err)
	}
	k.pair = &pair
	return nil
}

// now is the certificate to show.
func (k *keypair) now(at time.Time) *tls.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	if at.Sub(k.looked) < lookEvery {
		return k.pair
	}
	k.looked = at
	if s := k.stamps(); s != k.seen {
		if k.load() != nil {
			k.count.tlsStale.Add(1) // and the next look tries again: perhaps only one of the two is written
			return k.pair
		}
		k.seen = s
		k.count.tlsRenewed.Add(1)
	}
	return k.pair
}

// serverTLS is what the listener speaks; nil for no TLS.
func (t *Transport) serverTLS() (*tls.Config, error) {
	c := &t.cfg
	if c.CertFile == "" && c.KeyFile == "" {
		return nil, nil
	}
	k := &keypair{certFile: c.CertFile, keyFile: c.KeyFile, count: &t.count, looked: time.Now()}
	k.seen = k.stamps()
	if err := k.load(); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return k.now(time.Now()), nil }}, nil
}

// clientTLS is what dialling wss:// and https:// speaks.
func (c *Config) clientTLS() *tls.Config {
	return &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// noTLS says that an attempt failed because the peer does no TLS that we trust,
// and before anything was said to it.
func noTLS(err error) bool {
	var record tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var alert tls.AlertError
	// net/http has words of its own for the first.
	return errors.As(err, &record) || errors.As(err, &certificate) || errors.As(err, &alert) ||
		err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
}

// withoutTLS is the address to go on with where an attempt failed for want of
// TLS, if we may.
func (t *Transport) withoutTLS(address string, err error) (plain string, ok bool) {
	scheme, rest, _ := strings.Cut(address, "s://")
	if !t.cfg.DialPlain || !noTLS(err) || scheme != "ws" && scheme != "http" {
		return "", false
	}
	t.count.downgraded.Add(1)
	return scheme + "://" + rest, true
}

// explain adds to a failed attempt what would have let it go on.
func (t *Transport) explain(err error) error {
	if noTLS(err) && !t.cfg.DialPlain {
		return fmt.Errorf("%w (no TLS there that we trust; --axon.tls_roots would trust its authority, --axon.dial_plain go on without TLS)", err)
	}
	return err
}
