package cli

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"bettensor/node/chain"
	"bettensor/node/feed/api"
	"bettensor/node/model"
)

// network is a chain that has a name.
type network struct {
	name, endpoint string
	// public networks are those that real money is on, or that others share.
	public bool
	// genesis is the chain's, "" where any is taken.
	genesis string
}

// networks that the original's tools know, by the same names.
var networks = []network{
	{"finney", "wss://entrypoint-finney.opentensor.ai:443", true, "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03"},
	{"test", "wss://test.finney.opentensor.ai:443", true, ""},
	{"archive", "wss://archive.chain.opentensor.ai:443", true, "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03"},
	{"local", "ws://127.0.0.1:9944", false, ""},
	{"latent-lite", "wss://lite.sub.latent.to:443", true, "0x2f0555cc76fc2840a25a6ea3b9637146806f1f44b090c175ffde2a7e5ab36c03"},
}

func networkNames() []string {
	var out []string
	for _, n := range networks {
		out = append(out, n.name)
	}
	return out
}

// where is the network that a node is on: the named one, or, where endpoints
// are given, the one they are known to belong to; "custom" if none.
func (r *Resolved) where() network {
	if len(r.Endpoints) == 0 || r.isSet("subtensor.network") {
		for _, n := range networks {
			if n.name == r.Network {
				return n
			}
		}
	}
	for _, n := range networks {
		for _, e := range r.Endpoints {
			if e == n.endpoint {
				return n
			}
		}
	}
	if r.loopback() {
		return network{name: "local"}
	}
	return network{name: "custom", public: true}
}

// endpoints of the chain, the preferred one first.
func (r *Resolved) endpoints() []string {
	if len(r.Endpoints) > 0 {
		return r.Endpoints
	}
	return []string{r.where().endpoint}
}

// loopback says whether all endpoints are on this machine.
func (r *Resolved) loopback() bool {
	all := r.Endpoints
	if len(all) == 0 {
		return r.Network == "local"
	}
	for _, e := range all {
		u, err := url.Parse(e)
		if err != nil || !chain.Loopback(u.Hostname()) {
			return false
		}
	}
	return true
}

// check is what no single value tells.
func (r *Resolved) check() []error {
	var errs []error
	for _, e := range r.Endpoints {
		u, err := url.Parse(e)
		if err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "" {
			errs = append(errs, r.wrong("subtensor.chain_endpoint", "a ws:// or wss:// URL", api.Redacted(e)))
		}
	}
	if (r.Sock.CertFile == "") != (r.Sock.KeyFile == "") {
		errs = append(errs, errors.New("axon.tls_cert and axon.tls_key: want both or none"))
	}
	if r.Wallet.URI != "" && !r.loopback() {
		errs = append(errs, errors.New("wallet.uri: everybody has the development keys; they are taken on loopback endpoints only"))
	}
	if r.ClockFile != "" && r.where().public {
		errs = append(errs, fmt.Errorf("clock.file: refused on %s: a node there lives by the true time", r.where().name))
	}
	if a := r.Axon.ExternalIP; a != "" {
		switch ip, err := netip.ParseAddr(a); {
		case err != nil:
			errs = append(errs, r.wrong("axon.external_ip", "an IP address", a))
		case !r.loopback() && !chain.Routable(ip):
			errs = append(errs, fmt.Errorf("%s: nobody can reach %s; announce the address that others see", sourced(r.origin("axon.external_ip"), "axon.external_ip"), ip))
		}
	}
	if net.ParseIP(strings.Trim(r.Axon.IP, "[]")) == nil {
		errs = append(errs, r.wrong("axon.ip", "an IP address", r.Axon.IP))
	}
	if _, port, err := net.SplitHostPort(r.HTTP.Listen); err != nil {
		errs = append(errs, r.wrong("http.listen", "HOST:PORT", r.HTTP.Listen))
	} else if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		errs = append(errs, r.wrong("http.listen", "a port from 0 to 65535", port))
	}
	if r.role == forValidator {
		if r.Second.URL == "" && (r.Second.Key != "" || r.Second.Kind != "") {
			errs = append(errs, errors.New("feed.second.key and feed.second.kind: want feed.second.url with them"))
		}
		// A key that is missing is told by whoever needs it: settings may be shown without.
		var wrong *api.Error
		if err := r.Feed.Check(); err != nil && !(errors.As(err, &wrong) && wrong.Code == api.CodeKey) {
			errs = append(errs, fmt.Errorf("%s: %w", sourced(r.origin("feed.url"), "feed.url"), err))
		}
	}
	return errs
}

// wrong is the error of a setting's value.
func (r *Resolved) wrong(name, what, got string) error {
	return fmt.Errorf("%s: %w", sourced(r.origin(name), name), expected(what, got))
}

// axon is what is announced on the chain: nothing, where nobody can be told to
// come. Port 0 is the one that will be listened at.
func (r *Resolved) axon() chain.Axon {
	if r.Axon.Off {
		return chain.Axon{}
	}
	ip := r.Axon.ExternalIP
	if ip == "" && r.loopback() {
		ip = "127.0.0.1"
	}
	return chain.Axon{IP: ip, Port: r.Axon.ExternalPort}
}

// listen is the axon's address, "" where it is off. In shadow mode the port is
// the other node's, unless somebody gave this one its own.
func (r *Resolved) listen() string {
	if r.Axon.Off || r.Validator.Shadow && !r.isSet("axon.port") {
		return ""
	}
	return net.JoinHostPort(strings.Trim(r.Axon.IP, "[]"), strconv.Itoa(int(r.Axon.Port)))
}

// place is where a node keeps what is its own.
type place struct {
	dir     string // of the node: the ports file lies here
	store   string
	backups string
}

// place of a hotkey's node. systemd names the directory of its own services in
// STATE_DIRECTORY.
func (r *Resolved) place(hotkey chain.Hotkey, lookup func(string) (string, bool)) (place, error) {
	if r.Store.Dir != "" {
		dir, err := filepath.Abs(r.Store.Dir)
		if err != nil {
			return place{}, err
		}
		return r.withBackups(place{dir: dir + runSuffix, store: dir, backups: dir + "-backups"})
	}
	base, ok := lookup("STATE_DIRECTORY")
	if base, _, _ = strings.Cut(base, ":"); !ok || base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return place{}, fmt.Errorf("no home directory, give --store.dir: %w", err)
		}
		base = filepath.Join(home, ".bettensor")
	}
	dir := filepath.Join(base, r.where().name, strconv.Itoa(int(r.Netuid)), r.role.String()+"-"+string(hotkey))
	return r.withBackups(place{dir: dir, store: filepath.Join(dir, "store"), backups: filepath.Join(dir, "backups")})
}

// withBackups puts backups where the operator wants them.
func (r *Resolved) withBackups(p place) (place, error) {
	if r.Store.Backups == "" {
		return p, nil
	}
	var err error
	p.backups, err = filepath.Abs(r.Store.Backups)
	return p, err
}

func modelNames() []string {
	var out []string
	for _, i := range model.Names() {
		out = append(out, i.Name)
	}
	return out
}
