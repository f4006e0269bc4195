// One container's shim: mounts the root directory, drives the OCI runtime, owns the streams of
// process 1 and of execs, records the exit and goes. docs/processes.md has the messages.
//
// preparing -> (mount, runtime create) -> created -> (runtime start) -> running -> exited
// exited: drain output, flush the log, exit.json, exit event, acknowledgements; then end the
// clients, runtime delete, unmount, close the connections. A client with a backlog is still served
// after that. Without any engine the same happens, only nobody is asked.
//
// Everything runs on the loop's thread. Errors of a request are its reply; other problems go to
// DIR/shim.log.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "linux/pid_fd.h"
#include "shim/console_socket.h"
#include "shim/control.h"
#include "shim/event_acks.h"
#include "shim/event_loop.h"
#include "shim/leftovers.h"
#include "shim/log_driver.h"
#include "shim/oom_watch.h"
#include "shim/process_streams.h"
#include "shim/protocol.h"
#include "shim/reaper.h"
#include "shim/rootfs.h"
#include "shim/runtime_call.h"

namespace berth::shim {

class Shim final {
  public:
    /// `directory` has shim.json's container; the working directory of the runtime.
    Shim(EventLoop& loop, std::string directory, ShimConfig config);
    /// Takes the first control connection; listens for more.
    void begin(UniqueFd connection);

  private:
    struct Origin {
        Control::ConnectionId connection;
        std::uint64_t seq;
    };
    struct Exec {
        std::string id;
        std::string file_stem;  // DIR/exec-<n>, for its files
        linux_os::PidFd process;
        std::unique_ptr<ProcessStreams> streams;
        std::unique_ptr<ConsoleSocket> console;
        UniqueFd client;  // until the process exists
        StreamOptions options;
        std::optional<Control::ConnectionId> keeper;  // it ends when this connection does
        pid_t pid = 0;
        int exit_code = 0;
        bool running = false;
        bool handled = false;  // its exit was acknowledged
    };

    void handle(Origin origin, RequestMessage message, std::vector<UniqueFd> fds);
    void dispatch(Origin origin, Request& request, std::vector<UniqueFd> fds);
    void answer(Origin origin, Reply reply = {}, const std::vector<BorrowedFd>& fds = {});
    void refuse(Origin origin, const Error& error);

    void create(Origin origin);
    void mount_from(std::list<Rootfs>::iterator at, Origin origin);
    void run_create(Origin origin);
    void finish_create(Origin origin, const RuntimeResult& result);
    void fail_create(Origin origin, const Error& error);
    void start(Origin origin);
    void attach(Origin origin, AttachRequest& request, std::vector<UniqueFd> fds);
    void resize(Origin origin, const ResizeRequest& request);
    void signal(Origin origin, const SignalRequest& request);
    void report_state(Origin origin);
    void shut_down(Origin origin);
    void connection_closed(Control::ConnectionId connection);

    void exec(Origin origin, ExecRequest& request, std::vector<UniqueFd> fds);
    void finish_exec(Origin origin, Exec& exec, const RuntimeResult& result);
    void exec_exited(Exec& exec, linux_os::ExitStatus status);
    void exec_handled(Exec& exec);
    void end_execs();
    void end_kept_execs(Control::ConnectionId connection);
    void forget_old_execs();
    Exec* find_exec(const std::string& id);
    void discard_exec(Exec& exec);

    void process_exited(linux_os::ExitStatus status);
    void watch_memory();
    bool oom_killed() const;
    void end_leftovers(int tries, std::function<void()> done);
    void drain_output();
    void record_exit();
    void clean_up();
    void cleaned();
    void try_leave();
    bool alive() const;

    ProcessStreams::Settings stream_settings(bool terminal);
    void report(const std::string& problem);
    std::string path(const char* name) const { return directory_ + "/" + name; }

    EventLoop& loop_;
    std::string directory_;
    ShimConfig config_;
    Reaper reaper_;
    RuntimeCaller runtime_;
    std::list<Rootfs> mounts_;  // the root file system, then what config.json binds
    EventAcks acks_;
    Control control_;
    std::unique_ptr<LogDriver> log_;
    std::optional<Error> log_failure_;
    std::unique_ptr<ProcessStreams> streams_;
    ProcessStreams::ChildEnds child_ends_;
    std::unique_ptr<ConsoleSocket> console_;
    linux_os::PidFd process_;
    Leftovers leftovers_;
    std::optional<OomWatch> oom_;
    std::list<Exec> execs_;
    unsigned next_exec_ = 0;
    ProcessStatus status_ = ProcessStatus::preparing;
    ExitRecord exit_;
    std::optional<Origin> shutdown_;
    std::optional<linux_os::ExitStatus> early_exit_;
    bool creating_ = false;
    bool starting_ = false;
    bool create_attempted_ = false;
    bool cleaning_ = false;
    bool cleaned_ = false;
    int problems_ = 0;
};

}  // namespace berth::shim
