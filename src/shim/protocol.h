// The messages between the engine and a shim (docs/processes.md) and the contents of shim.json:
// plain types and their JSON codec, no IO. Each encoded text is one SOCK_SEQPACKET record
// (linux/message_socket.h); descriptors travel beside it and are named at each type.
// Thread-safe: pure functions. Errors: Error{invalid} naming the member that is wrong.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/error.h"

namespace berth::shim {

/// The descriptor of a shim that holds its first control connection.
constexpr int kControlFd = 3;

/// How the shim mounts the container's root directory at DIR/rootfs.
enum class RootfsKind {
    overlay,         // kernel overlay in the shim's mount namespace
    fuse_overlayfs,  // the program `program`, a child of the shim
    path,            // a bind of the directory `path` (copy driver)
};

struct RootfsMount final {
    RootfsKind kind = RootfsKind::path;
    std::vector<std::string> lowerdirs;  // overlay kinds: topmost first
    std::string upperdir;                // overlay kinds: empty for a read-only stack
    std::string workdir;
    std::string path;     // kind path only
    std::string program;  // kind fuse_overlayfs only: absolute path
    /// fuse_overlayfs: who owners on disk are in the mount, as its options take it; empty: the
    /// same.
    std::string uid_mapping, gid_mapping;
    /// path: what below it is bound, reached by links that stay below it only; empty: itself.
    std::string subpath;
    /// path: as this process sees it, in its mount namespace; 0: as the shim does.
    pid_t process = 0;
};

/// What each message of the driver syslog begins with.
struct SyslogHeader final {
    int facility = 3;    // daemon
    std::string format;  // "rfc3164", "rfc5424", "rfc5424micro"; empty: as a local syslogd takes it
    std::string tag;
};

/// tcp+tls: how the service is known, and how we are. The files are PEM; empty: none.
struct SyslogTls final {
    std::string name;      // what its certificate must be for
    bool verified = true;  // false: whatever certificate it has
    std::string authorities, certificate, key;
};

/// Mounted beside the root file system, for config.json to bind.
struct PreparedMount final {
    RootfsMount mount;
    std::string target;  // in DIR; made by the shim
};

struct LogConfig final {
    std::string driver = "json-file";  // "local", "journald", "syslog", "none"
    /// The log file, made with mode 0640; its directory exists. journald: its socket. syslog:
    /// "unixgram:/dev/log", "unix:PATH", "udp:ADDRESS:PORT", "tcp:ADDRESS:PORT" or "tcp+tls:…",
    /// numbers only.
    std::string path;
    std::int64_t max_size = -1;  // bytes; -1: no rotation
    int max_file = 1;            // files kept; 1: the file is truncated at max_size
    bool compress = false;       // rotated files become .N.gz
    /// "attrs" of each record; journald: fields of each message, in journald's spelling.
    std::map<std::string, std::string> attributes;
    /// journald, syslog: lines may be dropped, the container never waits.
    bool non_blocking = false;
    std::int64_t max_buffer = 1U << 20;  // bytes kept for it then
    SyslogHeader syslog;
    SyslogTls tls;
};

/// shim.json, written by the engine before it spawns the shim.
struct ShimConfig final {
    std::string id;                              // 64 digits
    std::string runtime_program;                 // absolute path
    std::vector<std::string> runtime_arguments;  // global arguments, before the verb
    std::string runtime_root;                    // --root
    std::string bundle;                          // has config.json; usually DIR itself
    RootfsMount rootfs;
    std::vector<PreparedMount> mounts;  // in this order, after the root file system
    LogConfig log;
    std::optional<LogConfig> log_copy;  // a second log, for a driver that cannot be read
    bool terminal = false;
    bool open_stdin = false;           // stdin is a pipe that stays open; else /dev/null
    bool stdin_once = false;           // stdin ends with the first attached client's stdin
    std::uint16_t console_height = 0;  // 0: as the kernel makes it
    std::uint16_t console_width = 0;
    std::string cgroup_dir;  // v2 directory whose memory.events tells an OOM kill; may be empty
    /// Directory for the backlog of a client that does not read; empty: the log's, else DIR.
    std::string spool_dir;
};

std::string encode(const ShimConfig& config);
ShimConfig parse_shim_config(std::string_view text);

enum class Framing {
    raw,
    multiplexed,  // Docker's eight bytes before each piece
    websocket,    // binary frames of RFC 6455, both ways; the handshake is done
};

/// What a client is attached to; raw bytes here, hexadecimal on the wire.
struct StreamOptions final {
    bool stdin_stream = false;
    bool stdout_stream = false;
    bool stderr_stream = false;
    Framing framing = Framing::multiplexed;
    std::string detach_keys;  // key bytes; empty: no detaching. Heeded only with terminal and stdin
    std::string prefix;       // bytes that the client sent early, part of its stdin
};

/// Reply: pid, with the descriptors [pidfd, network namespace] of process 1.
struct CreateRequest final {};
struct StartRequest final {};
/// Descriptor: the client's stream socket. After the reply the engine closes its duplicate.
struct AttachRequest final {
    StreamOptions streams;
};
/// Descriptor: the client's stream socket, or none for a detached exec. Reply: pid. On an error
/// the shim has neither read from nor written to the client.
struct ExecRequest final {
    std::string exec_id;
    std::string process_json;  // the OCI process object, as JSON text
    bool terminal = false;
    StreamOptions streams;
    /// Killed with all it started when the connection closes that asked for it: a probe.
    bool ends_with_connection = false;
};
struct ResizeRequest final {
    std::optional<std::string> exec_id;  // absent: process 1
    std::uint16_t height = 0;
    std::uint16_t width = 0;
};
/// Error{not_found} when the container's process is gone.
struct SignalRequest final {
    int number = 0;
    bool all = false;  // every process of the container
};
struct CloseStdinRequest final {};
struct StateRequest final {};
struct ShutdownRequest final {};
/// Answers an exit event; no reply.
struct ExitAck final {
    std::optional<std::string> exec_id;
};

using Request =
    std::variant<CreateRequest, StartRequest, AttachRequest, ExecRequest, ResizeRequest,
                 SignalRequest, CloseStdinRequest, StateRequest, ShutdownRequest, ExitAck>;
struct RequestMessage final {
    std::uint64_t seq = 0;
    Request request;
};

std::string encode(const RequestMessage& message);
RequestMessage parse_request(std::string_view text);

enum class ProcessStatus { preparing, created, running, exited };
std::string_view to_string(ProcessStatus status);

struct ExecState final {
    std::string exec_id;
    pid_t pid = 0;
    bool running = false;
    int exit_code = 0;
};
struct StateReply final {
    ProcessStatus status = ProcessStatus::preparing;
    pid_t pid = 0;
    int exit_code = 0;
    std::int64_t exited_at = 0;  // ns since the epoch
    bool oom = false;
    std::vector<ExecState> execs;
};
struct Reply final {
    std::uint64_t seq = 0;
    std::optional<Error> error;
    pid_t pid = 0;                    // create, exec
    std::optional<StateReply> state;  // state
};

/// Process 1 ended. The engine answers with ExitAck{}.
struct ExitEvent final {
    int exit_code = 0;
    std::int64_t exited_at = 0;
    bool oom = false;
};
/// An exec ended. The engine answers with ExitAck{exec_id}.
struct ExecExitEvent final {
    std::string exec_id;
    int exit_code = 0;
};
/// A client typed its detach keys; its socket is closed after this event was sent.
struct DetachedEvent final {
    std::optional<std::string> exec_id;
};

/// The kernel killed a process of the container for want of memory; the container may run on.
struct OomEvent final {};

using FromShim = std::variant<Reply, ExitEvent, ExecExitEvent, DetachedEvent, OomEvent>;

std::string encode(const FromShim& message);
FromShim parse_from_shim(std::string_view text);

/// exit.json, renamed into place before the exit event is sent.
struct ExitRecord final {
    int exit_code = 0;
    std::int64_t exited_at = 0;
    bool oom = false;
    std::string boot_id;
};

std::string encode(const ExitRecord& record);
ExitRecord parse_exit_record(std::string_view text);

std::string to_hex(std::string_view bytes);
/// Throws Error{invalid} for anything but pairs of hexadecimal digits.
std::string from_hex(std::string_view hex);

}  // namespace berth::shim
