package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"bettensor/node/chain/wallet"
	"bettensor/node/ledger"
	"bettensor/node/live"
	"bettensor/node/web"
	"bettensor/store"
)

const (
	// nodeMemory is what a node needs beside the derivation of its key: stores are
	// held in memory for fifty days, and stay far below it.
	nodeMemory = 256 << 20
	// descriptors a node needs beside its inbound connections: store, polls, chain,
	// feed, page, and connections that are about to end.
	descriptors = 512
	// freeLeast and freeFew bytes on the store's disk: a store does not open below
	// the first, and the second is where a running node raises its alarm.
	freeLeast, freeFew = 256 << 20, 1 << 30
	// syncSlow is a commit that makes confirmations late; syncTries are measured.
	syncSlow  = 50 * time.Millisecond
	syncTries = 9
	// verifyLargest is the largest store, in bytes on disk, of which every row is
	// read here.
	verifyLargest = 256 << 20
	// certificateSoon before its end a certificate is worth a warning.
	certificateSoon = 14 * 24 * time.Hour
	// watchdogLeast: the loop tells the supervisor of its progress once a second, and
	// a round of scoring may hold it up.
	watchdogLeast = 10 * time.Second
)

func (x *examination) checkPlace(context.Context) {
	const check = "directories"
	if x.hotkey == "" && x.Store.Dir == "" {
		x.found(check, skipped, "", "they are named after the hotkey, which is not known")
		return
	}
	p, err := x.Resolved.place(x.hotkey, x.environ)
	if err != nil {
		x.found(check, bad, "give --store.dir DIR", "%v", err)
		return
	}
	x.place = p
	for _, dir := range []string{p.dir, p.store, p.backups} {
		i, err := os.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			x.found(check, bad, "", "%v", err)
			return
		case !i.IsDir():
			x.found(check, bad, "move it away, or give another --store.dir", "%s is no directory", dir)
			return
		case i.Mode().Perm()&0o022 != 0:
			x.found(check, bad, "chmod go-w "+wallet.ShellWord(dir), "others may write to %s", dir)
			return
		}
	}
	if ports, err := web.ReadPorts(p.dir); err == nil && ports.PID > 0 && syscall.Kill(ports.PID, 0) != syscall.ESRCH {
		x.running = &ports
		x.found(check, good, "", "%s; the node runs as process %d", p.dir, ports.PID)
		return
	}
	x.found(check, good, "", "%s; the node does not run", p.dir)
}

// checkDisk writes where the store is, or will be, as the store does.
func (x *examination) checkDisk(context.Context) {
	const check = "disk"
	if x.place.store == "" {
		x.found(check, skipped, "", "it is not known where the store is to be")
		return
	}
	dir := x.place.dir
	for { // the nearest that is there: nothing is made
		i, err := os.Stat(dir)
		if err == nil && i.IsDir() {
			break
		}
		if err == nil || errors.Is(err, syscall.ENOTDIR) {
			x.found(check, bad, "give another --store.dir", "%s cannot be made: a file is in its way", x.place.dir)
			return
		}
		if up := filepath.Dir(dir); up != dir {
			dir = up
			continue
		}
		x.found(check, bad, "", "%v", err)
		return
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		x.found(check, bad, "", "%s: %v", dir, err)
		return
	}
	free := disk.Bavail * uint64(disk.Bsize)
	took, err := syncTime(dir)
	switch {
	case err != nil:
		x.found(check, bad, "chown "+strconv.Itoa(os.Getuid())+" "+wallet.ShellWord(dir)+" && chmod u+rwx "+wallet.ShellWord(dir)+", or give another --store.dir", "nothing can be written: %v", err)
	case free < freeLeast:
		x.found(check, bad, "free at least 1 GiB, or give --store.dir on another disk", "%d MiB are free in %s; a store does not open below %d", free>>20, dir, freeLeast>>20)
	case free < freeFew:
		x.found(check, warn, "free at least 1 GiB, or give --store.dir on another disk", "%d MiB are free in %s", free>>20, dir)
	case took > syncSlow:
		x.found(check, warn, "put --store.dir on a local solid-state disk", "a synced write in %s takes %v: confirmations will be late", dir, took.Round(time.Millisecond))
	default:
		x.found(check, good, "", "%s: %d MiB free, a synced write takes %v", dir, free>>20, took.Round(10*time.Microsecond))
	}
}

// syncTime is the median time of a small write that is then on the disk.
func syncTime(dir string) (median time.Duration, err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	block := make([]byte, 4<<10)
	var took []time.Duration
	for range syncTries {
		begun := time.Now()
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}

// checkStore reads the store, unless a node has it.
func (x *examination) checkStore(ctx context.Context) {
	const check = "store"
	dir := x.place.store
	if dir == "" {
		x.found(check, skipped, "", "it is not known where it is")
		return
	}
	verify := "bettensor store verify --dir " + wallet.ShellWord(dir)
	size, err := sizeOf(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && size == 0 {
		x.found(check, good, "", "there is none yet in %s; the first start makes it", dir)
		return
	}
	if err != nil {
		x.found(check, bad, verify, "%v", err)
		return
	}
	hold, err := live.Take(dir)
	if errors.Is(err, store.ErrLocked) {
		if x.running == nil {
			x.found(check, bad, "stop it, or give another --store.dir", "a process has %s, and it is no node that answers: %v", dir, err)
			return
		}
		x.found(check, good, "", "%s is in use by our own running node", dir)
		return
	}
	if err != nil {
		x.found(check, bad, "", "%v", err)
		return
	}
	defer hold.Release() // nothing was written
	if size > verifyLargest {
		x.found(check, good, "", "%s has %d MiB; every row of it is read by %s", dir, size>>20, verify)
		return
	}
	type result struct {
		store.Report
		err error
	}
	done := make(chan result, 1)
	go func() {
		r, err := store.Verify(store.Options{Dir: dir, Schema: ledger.Schema()})
		done <- result{r, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-ctx.Done(): // what is left of it ends with this process
		x.found(check, warn, verify, "%s was not read within %v", dir, checkWithin)
		return
	}
	var none store.ErrNoStore
	switch {
	case errors.As(r.err, &none):
		x.found(check, good, "", "there is none yet in %s; the first start makes it", dir)
	case r.err != nil:
		x.found(check, bad, verify, "%v", r.err)
	case r.Version > ledger.SchemaVersion:
		x.found(check, bad, "run the newer program, or restore a backup: bettensor store restore --dir "+wallet.ShellWord(dir)+" BACKUP", "%s has the schema %d, of a newer program; ours is %d", dir, r.Version, ledger.SchemaVersion)
	case r.Version < ledger.SchemaVersion:
		x.found(check, warn, "bettensor store verify with the program that wrote it, and keep a copy: the start brings it to the new form for good", "%s has the schema %d; ours is %d", dir, r.Version, ledger.SchemaVersion)
	case r.Err() != nil:
		x.found(check, bad, "bettensor store restore --dir "+wallet.ShellWord(dir)+" BACKUP", "%v", r.Err())
	default:
		rows := 0
		for _, t := range r.Tables {
			rows += t.Rows
		}
		x.found(check, good, "", "%s: schema %d, %d rows, all sound", dir, r.Version, rows)
	}
}

// sizeOf is the bytes of the files in a directory.
func sizeOf(dir string) (n int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		i, err := d.Info()
		if err == nil {
			n += i.Size()
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil // a running node drops files
		}
		return err
	})
	return n, err
}

// checkPorts binds for a moment what the node will bind.
func (x *examination) checkPorts(ctx context.Context) {
	axon, held := x.listen(), ""
	if x.running != nil {
		held = x.running.Axon
	}
	if axon == "" {
		x.found("axon port", good, "", "axon.off: the node listens nowhere")
	} else {
		x.checkPort(ctx, "axon port", axon, held, true)
	}
	held = ""
	if x.running != nil {
		held = x.running.HTTP
	}
	x.checkPort(ctx, "http port", x.HTTP.Listen, held, x.isSet("http.listen"))
}

func (x *examination) checkPort(ctx context.Context, check, address, held string, needed bool) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", address)
	_, port, _ := net.SplitHostPort(address)
	_, ours, _ := net.SplitHostPort(held)
	flag := map[string]string{"axon port": "--axon.port PORT", "http port": "--http.listen 127.0.0.1:PORT"}[check]
	switch {
	case err == nil:
		if err := l.Close(); err != nil {
			x.found(check, bad, "", "%v", err)
			return
		}
		x.found(check, good, "", "%s can be bound", address)
	case errors.Is(err, syscall.EADDRINUSE) && port == ours:
		x.found(check, good, "", "%s is held by our own running node", address)
	case errors.Is(err, syscall.EADDRINUSE) && !needed:
		x.found(check, good, "", "%s is taken; the node will take the next free port", address)
	case errors.Is(err, syscall.EADDRINUSE):
		x.found(check, bad, "ss -ltnp 'sport = :"+port+"' shows by whom; or give "+flag, "%s is taken", address)
	case errors.Is(err, syscall.EACCES):
		x.found(check, bad, "give "+flag+" above 1023, and have the router map it", "%v", err)
	default:
		x.found(check, bad, "give "+flag, "%v", err)
	}
}

func (x *examination) checkCertificate(context.Context) {
	const check = "certificate"
	if x.Sock.CertFile == "" {
		return
	}
	pair, err := tls.LoadX509KeyPair(x.Sock.CertFile, x.Sock.KeyFile)
	if err != nil {
		x.found(check, bad, "give --axon.tls_cert and --axon.tls_key that belong together", "%v", err)
		return
	}
	switch left := time.Until(pair.Leaf.NotAfter); {
	case left < 0:
		x.found(check, bad, "renew it; a running node reads it again within a minute", "%s ended %s", x.Sock.CertFile, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	case left < certificateSoon:
		x.found(check, warn, "renew it; a running node reads it again within a minute", "%s ends %s", x.Sock.CertFile, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	default:
		x.found(check, good, "", "%s is good until %s", x.Sock.CertFile, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
}

func (x *examination) checkDescriptors(context.Context) {
	const check = "descriptors"
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		x.found(check, warn, "", "%v", err)
		return
	}
	// Go raises the soft limit to the hard one at its start.
	need := uint64(x.Sock.MaxInbound + descriptors)
	if limit.Cur < need {
		x.found(check, bad, "LimitNOFILE=65536 in the unit, or ulimit -n 65536", "%d files may be open, and %d are needed", limit.Cur, need)
		return
	}
	x.found(check, good, "", "%d files may be open, %d are needed", limit.Cur, need)
}

// memoryLimit is how much memory this process may have; limit is 0 where nobody
// limits it.
type memoryLimit struct {
	limit uint64
	from  string
}

// memory is the least limit of our control group and of those above it.
func (x *examination) memory() memoryLimit {
	var out memoryLimit
	own, err := os.ReadFile(filepath.Join(x.root, "proc/self/cgroup"))
	if err != nil {
		return out
	}
	for line := range bytes.Lines(own) {
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, name := "sys/fs/cgroup", "memory.max"
		switch {
		case parts[0] == "0" && parts[1] == "":
		case slices.Contains(strings.Split(parts[1], ","), "memory"):
			base, name = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		// In a container the path may be one of outside: what is mounted is ours then.
		for dir := filepath.Clean("/" + parts[2]); ; dir = filepath.Dir(dir) {
			file := filepath.Join(x.root, base, dir, name)
			b, err := os.ReadFile(file)
			if n, numErr := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil && numErr == nil && n < 1<<50 && (out.limit == 0 || n < out.limit) {
				out = memoryLimit{n, file}
			}
			if dir == "/" {
				break
			}
		}
	}
	return out
}

func (x *examination) checkMemory(context.Context) {
	const check = "memory"
	m := x.memory()
	switch {
	case m.limit == 0:
		x.found(check, good, "", "nobody limits it; %d MiB are available", available(x.root)>>20)
	case m.limit < nodeMemory:
		x.found(check, bad, "raise it to 1536M", "%s allows %d MiB; a node needs %d", m.from, m.limit>>20, nodeMemory>>20)
	case m.limit < nodeMemory+wallet.DerivationMemory:
		x.found(check, warn, "raise it to 1536M", "%s allows %d MiB: a node can run, but an encrypted hotkey cannot be opened, which takes %d MiB", m.from, m.limit>>20, wallet.DerivationMemory>>20)
	default:
		x.found(check, good, "", "%s allows %d MiB", m.from, m.limit>>20)
	}
}

// available is the machine's memory that is free to use, 0 where it does not say.
func available(root string) uint64 {
	f, err := os.Open(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return 0
	}
	defer f.Close() // only read
	for s := bufio.NewScanner(f); s.Scan(); {
		var kib uint64
		if n, err := fmt.Sscanf(s.Text(), "MemAvailable: %d kB", &kib); n == 1 && err == nil {
			return kib << 10
		}
	}
	return 0
}

// checkSupervisor looks at what systemd would be told, where it is there.
func (x *examination) checkSupervisor(context.Context) {
	const check = "systemd"
	if socket, ok := x.environ("NOTIFY_SOCKET"); !ok || socket == "" {
		return
	}
	text, _ := x.environ("WATCHDOG_USEC")
	us, err := strconv.ParseInt(text, 10, 64)
	switch every := time.Duration(us) * time.Microsecond; {
	case text == "":
		x.found(check, warn, "WatchdogSec=60 in the unit", "it is told when the node is ready, but has no watchdog over its loop")
	case err != nil || us <= 0:
		x.found(check, bad, "WatchdogSec=60 in the unit", "WATCHDOG_USEC is %q", text)
	case every < watchdogLeast:
		x.found(check, warn, "WatchdogSec=60 in the unit", "the watchdog of %v is shorter than a round may take", every)
	default:
		x.found(check, good, "", "notified, with a watchdog of %v", every)
	}
}

func (x *examination) checkModel(context.Context) {
	const check = "model"
	if x.role != forMiner {
		return
	}
	if _, err := modelSpec(x.Model.Name, x.Model.Set); err != nil {
		x.found(check, bad, "bettensor miner --help", "%v", err)
		return
	}
	x.found(check, good, "", "%s", x.Model.Name)
}
