// The standard streams of one process, 1 or an exec: reads its output, writes the log, fans out
// to the attached clients, and carries the clients' input to it. Never closes a client because
// it half-closed: that ends stdin at most. A client that does not read holds the process back for
// 2 s at most, then its backlog goes to disk (outbox.h). Runs on the shim's loop; owns all
// descriptors given to it. Nothing a client does is an error here.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "shim/client.h"
#include "shim/event_loop.h"
#include "shim/log_driver.h"
#include "shim/protocol.h"

namespace berth::shim {

enum class InputEnd {
    closes_process_stdin,  // exec, or stdin_once
    is_ignored,
};

class ProcessStreams final {
  public:
    struct Settings final {
        bool terminal = false;
        InputEnd input_end = InputEnd::is_ignored;
        std::string spool_directory;
        /// How long a client may take nothing of its backlog after the process ended.
        std::chrono::milliseconds backlog_wait = std::chrono::minutes{10};
        LogDriver* log = nullptr;                            // borrowed; null: not logged
        std::function<void()> on_detach;                     // detach keys were typed
        std::function<void(const std::string&)> on_problem;  // for the shim's own log
    };
    /// What the child gets; absent ones are /dev/null.
    struct ChildEnds final {
        UniqueFd stdin_end, stdout_end, stderr_end;
    };

    ProcessStreams(EventLoop& loop, Settings settings);
    ~ProcessStreams();
    ProcessStreams(const ProcessStreams&) = delete;
    ProcessStreams& operator=(const ProcessStreams&) = delete;

    enum class Stdin { pipe, null };
    /// Makes the pipes of a process without a terminal.
    ChildEnds make_pipes(Stdin stdin_kind);
    void set_terminal(UniqueFd master);
    /// Begins to read output. Call after the process exists and clients attached to it.
    void open();

    void attach(UniqueFd socket, StreamOptions options);
    /// Closes the process's stdin once what waits was written. A terminal has none to close.
    void close_stdin();
    /// Throws Error{conflict} without a terminal.
    void resize(std::uint16_t height, std::uint16_t width);

    /// The process ended: calls back when its output is read to the end of file and logged. A
    /// descendant that
    /// holds the streams open is waited for 2 s; after that its output is discarded, so that it
    /// is not killed by a broken pipe.
    void drain(std::function<void()> done);
    /// Closes what is left of the output; what still writes to it gets a broken pipe.
    void abandon_output();
    /// Ends each client once its backlog was sent; calls back when none is left and the output
    /// has ended. The callback must not destroy this object.
    void finish_clients(std::function<void()> done);
    bool has_clients() const { return !clients_.empty(); }
    /// Output that the runtime left when it could not make the process.
    std::string read_leftover();

  private:
    struct Output {
        UniqueFd fd;
        unsigned char number = 1;
        bool watched = false;
        bool logged = false;
    };
    void read_output(Output& output);
    void end_output(Output& output);
    void deliver(const Output& output, std::string_view bytes);
    void log(Output& output, std::string_view bytes);
    void end_log(Output& output);
    void update_outputs();
    bool held_back() const;
    bool output_ended() const;
    bool wants(const Client& client, const Output& output) const;
    void settle_drain();
    void settle_finish();

    std::vector<Client*> current_clients() const;
    void client_event(Client& client, std::uint32_t events);
    void flush_client(Client& client);
    void read_client(Client& client);
    void take_input(Client& client, std::string_view bytes);
    void take_frames(Client& client, std::string_view bytes);
    void type(Client& client, std::string_view bytes);
    void send(Client& client, std::string_view header, std::string_view bytes);
    void input_ended(Client& client);
    void client_gone(Client& client);
    void update_client(Client& client);
    void after_send(Client& client, Outbox::State state);
    void watch_stall(Client& client);
    void spool(Client& client);
    void finish(Client& client);
    void watch_backlog(Client& client);
    void linger(Client& client);
    void remove(Client& client);

    void write_stdin(std::string_view bytes);
    void flush_stdin();
    void stdin_broken();
    void stdin_has_room();

    EventLoop& loop_;
    Settings settings_;
    UniqueFd stdin_fd_;  // our end of the pipe, or the terminal's master
    std::string stdin_waiting_;
    bool stdin_ending_ = false;
    std::list<Output> outputs_;
    std::list<std::unique_ptr<Client>> clients_;
    std::list<std::unique_ptr<Client>> buried_;  // until the loop is out of their callbacks
    bool opened_ = false;
    bool draining_ = false;
    bool discarding_ = false;  // what still comes belongs to nobody
    bool finishing_ = false;
    bool log_broken_ = false;
    EventLoop::TimerId drain_timer_ = 0;
    EventLoop::TimerId burial_timer_ = 0;
    std::function<void()> drained_;
    std::function<void()> finished_;
};

}  // namespace berth::shim
