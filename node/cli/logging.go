package cli

import (
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/term"
)

// logTime is RFC 3339 in UTC with milliseconds.
const logTime = "2006-01-02T15:04:05.000Z07:00"

// logger writes lines for people on a terminal, for programs elsewhere.
func logger(w io.Writer, s *Resolved) *slog.Logger {
	level := slog.LevelInfo
	if s.Logging.Debug || s.Logging.Trace {
		level = slog.LevelDebug
	}
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey && len(groups) == 0 && a.Value.Kind() == slog.KindTime {
			return slog.String(slog.TimeKey, a.Value.Time().UTC().Format(logTime))
		}
		if a.Value.Kind() == slog.KindDuration { // JSON would have nanoseconds
			return slog.String(a.Key, a.Value.Duration().String())
		}
		if a.Value.Kind() == slog.KindTime {
			return slog.String(a.Key, a.Value.Time().UTC().Format(time.RFC3339Nano))
		}
		return a
	}}
	if s.Logging.Format == "text" || s.Logging.Format == "auto" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
