package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"bettensor/sched"
)

// database is the service of both roles that looks after the store: how it is
// doing, and a backup at a fixed pace. Rows are written by the services that
// own them.
//
// every BackupInterval ─► backup port: checkpoint, keep the newest few
type database struct {
	idle
	named
	core    *core
	port    *sched.Port[BackupRequest, BackupReply]
	run     *sched.Run
	every   time.Duration
	newest  BackupReply // "" before the first copy of this run
	at      time.Time   // of it, or of the service's begin
	lastErr string      // of the last attempt, "" where it succeeded
	stats   struct{ taken, failed uint64 }
}

// BackupRequest asks for a copy of the store as it is durable now.
type BackupRequest struct{}

// BackupReply names the copy that was made.
type BackupReply struct{ Name string }

var errBackupReply = errors.New("node: damaged answer of a backup")

// staleBackups is how many intervals old the newest copy may be: one is its due
// age, and the next may take as long as a disk is busy.
const staleBackups = 2

// maxBackupName bounds what a recording may claim a backup to be called.
const maxBackupName = 1 << 10

var backupReplyCodec = sched.Codec[BackupReply]{
	Append: func(dst []byte, r *BackupReply) []byte {
		dst = binary.AppendUvarint(dst, uint64(len(r.Name)))
		return append(dst, r.Name...)
	},
	Read: func(b []byte) (r BackupReply, err error) {
		n, k := binary.Uvarint(b)
		if k <= 0 || n > maxBackupName || uint64(len(b)-k) != n {
			return r, errBackupReply
		}
		r.Name = string(b[k:])
		return r, nil
	},
}

// newDatabase makes the service. Without a backup port, as in the simulator,
// there are no backups.
func newDatabase(c *core, s *sched.Scope, every, deadline time.Duration) *database {
	d := &database{named: "database", core: c, every: every, at: c.loop.Now()}
	if c.ports.Backup == nil {
		return d
	}
	d.port = sched.NewPort(s, sched.PortConfig[BackupRequest, BackupReply]{Name: "backup", Deadline: deadline, Limit: 1,
		Request: func(dst []byte, _ *BackupRequest) []byte { return dst }, Reply: backupReplyCodec}, c.ports.Backup, d.done)
	s.Task(sched.TaskConfig{Name: "backup", Every: every, Jitter: 0.1, First: every, Deadline: 2 * deadline,
		Retry: sched.Backoff{Base: time.Minute, Cap: every, Attempts: 3}}, func(r *sched.Run) {
		d.run = r
		d.port.Start(BackupRequest{})
	})
	return d
}

func (d *database) done(_ sched.Ticket, _ BackupRequest, r BackupReply, err error) {
	if err != nil {
		d.stats.failed++
		d.lastErr = err.Error()
		d.core.alarms.Raise(AlarmBackupFailed, d.lastErr)
	} else {
		d.stats.taken++
		d.newest, d.at, d.lastErr = r, d.core.loop.Now(), ""
		d.core.alarms.Clear(AlarmBackupFailed)
		d.core.log.Info("backup taken", "name", r.Name)
	}
	if run := d.run; run != nil {
		d.run = nil
		run.Done(err)
	}
}

func (d *database) Stats() ServiceStats {
	st := d.core.store
	s := ServiceStats{Name: d.name(), State: "ok", Counts: []Count{
		{"commits_durable", uint64(st.Durable())}, {"commits_pending", uint64(st.Pending())},
		{"commit_bytes_pending", uint64(st.PendingBytes())}, {"backups", d.stats.taken}, {"backups_failed", d.stats.failed}}}
	if d.newest.Name != "" {
		s.Counts = append(s.Counts, Count{"backup_age_seconds", uint64(d.age() / time.Second)})
	}
	switch {
	case st.Err() != nil:
		s.State, s.Reason = "down", st.Err().Error()
	case st.Full():
		s.State, s.Reason = "degraded", "the disk is slow: new predictions are pushed back"
	case d.port == nil:
	case d.lastErr != "":
		s.State, s.Reason = "degraded", "the last backup failed: "+d.lastErr+"; "+d.newestCopy()
	case d.age() > staleBackups*d.every:
		s.State, s.Reason = "degraded", "backups are overdue; "+d.newestCopy()
	}
	return s
}

// age of the newest copy, or of the service while there is none.
func (d *database) age() time.Duration { return d.core.loop.Now().Sub(d.at) }

func (d *database) newestCopy() string {
	if d.newest.Name == "" { // not in this run, or not since this service was built again
		return fmt.Sprintf("none was taken in the last %v", d.age().Round(time.Second))
	}
	return fmt.Sprintf("the newest is %s, %v old", d.newest.Name, d.age().Round(time.Second))
}
