// The log driver `journald`: each line is a datagram of journald's native protocol, sent without
// libsystemd; one that is too large for a datagram goes as a sealed memory file. Nothing here waits
// for journald while the container runs: what its socket does not take is kept up to a limit. Over
// it, mode non-blocking drops new lines; else the container's output rests until journald
// goes on, or for kPatience, after which what waits is dropped.
#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <utility>

#include "base/unique_fd.h"
#include "shim/log_driver.h"
#include "shim/log_encoder.h"

namespace berth::shim {

/// One field as the protocol has it: NAME=value, or with its length when it has a line break.
void append_journal_field(std::string& message, std::string_view name, std::string_view value);

class JournalLog final : public LogDriver {
  public:
    /// Throws Error when nothing listens at config.path.
    JournalLog(EventLoop& loop, const LogConfig& config);
    ~JournalLog() override;
    JournalLog(const JournalLog&) = delete;
    JournalLog& operator=(const JournalLog&) = delete;

    void write(unsigned char stream, std::string_view bytes) override;
    void end(unsigned char stream) override;
    bool full() const override { return blocking_ && waiting_bytes_ > limit_; }
    void on_room(std::function<void()> callback) override { on_room_ = std::move(callback); }

    static constexpr std::chrono::milliseconds kPatience{2000};

  private:
    struct Stream final {
        LineCutter lines;
        std::string partial_id;  // not empty within a line that was cut
        int partial_ordinal = 0;
    };
    enum class Taken { yes, later };

    void add(unsigned char number, std::string_view piece);
    std::string message_of(unsigned char number, std::string_view piece);
    void queue(std::string message);
    Taken send(const std::string& message);
    Taken send_file(const std::string& message);
    void connect();
    void flush();
    void watch_for_room();
    void socket_writable();
    void give_up();
    void check_lost();

    EventLoop& loop_;
    std::string path_;
    std::string fields_;  // of every message
    bool blocking_;
    std::size_t limit_;
    UniqueFd socket_;
    Stream out_, err_;
    std::deque<std::string> waiting_;
    std::size_t waiting_bytes_ = 0;
    std::uint64_t lost_ = 0;
    bool watched_ = false;
    EventLoop::TimerId patience_ = 0;
    std::function<void()> on_room_;
};

}  // namespace berth::shim
