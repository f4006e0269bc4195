// The log driver `syslog`: each line is a message to a syslog service behind a unix socket, over
// UDP, TCP or TLS (decision 12), in one of the formats that Docker writes. What the service does
// not take at once waits in a LogQueue; a lost connection is made anew with the next line, once a
// second at most.
#pragma once

#include <string>
#include <utility>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "shim/log_driver.h"
#include "shim/log_pieces.h"
#include "shim/log_queue.h"

namespace berth::shim {

/// Where and when a message was written, besides its text.
struct SyslogOrigin final {
    std::string hostname;
    int pid = 0;
    Timestamp at;
};

/// One message with its line break.
std::string syslog_message(const SyslogHeader& header, const SyslogOrigin& origin,
                           unsigned char stream, std::string_view text);

class SyslogLog final : public LogDriver {
  public:
    /// Throws Error, in Docker's words, when the service cannot be reached.
    SyslogLog(EventLoop& loop, const LogConfig& config);
    SyslogLog(const SyslogLog&) = delete;
    SyslogLog& operator=(const SyslogLog&) = delete;

    void write(unsigned char stream, std::string_view bytes) override;
    void end(unsigned char stream) override;
    bool full() const override { return queue_.full(); }
    bool idle() const override { return queue_.idle(); }
    void on_room(std::function<void()> callback) override { queue_.on_room(std::move(callback)); }

  private:
    std::string message_of(unsigned char stream, std::string_view text) const;
    LogQueue::Taken send(std::string& message);
    enum class Link { ready, waiting, broken };
    Link link();
    void begin_connection();
    bool connect_again();
    void await_connection();
    void check_lost();

    std::string address_;
    SyslogHeader header_;
    SyslogTls tls_;
    std::string hostname_;
    UniqueFd socket_;
    LogQueue queue_;  // borrows the socket
    LogPieces out_, err_;
    SteadyTime connected_at_;
    bool shakes_hands_ = false;  // the relay has not yet said how its connection went
    std::string problem_;        // what it said last
};

}  // namespace berth::shim
