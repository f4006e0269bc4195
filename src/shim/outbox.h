// What waits to be sent to one attached client. Up to kMemoryLimit bytes wait in memory; past that
// the owner holds the container back (full()) or, when the client makes no progress, calls
// start_spooling(): from then on what is new goes to an unlinked temporary file, so that nothing
// is lost and nobody waits. Order is kept. The socket is borrowed and need not be non-blocking.
// Throws Error only when the temporary file cannot be made or written.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/unique_fd.h"

namespace berth::shim {

class Outbox final {
  public:
    /// `spool_directory` gets the temporary file, if one is ever needed.
    explicit Outbox(std::string spool_directory) : spool_directory_(std::move(spool_directory)) {}

    static constexpr std::size_t kMemoryLimit = 1U << 20;

    enum class State {
        empty,    // all was sent
        waiting,  // the socket takes no more for now
        gone,     // the client does not take anything any more
    };
    /// Sends or keeps `header` and then `payload`.
    State send(BorrowedFd socket, std::string_view header, std::string_view payload);
    /// Sends what waits.
    State flush(BorrowedFd socket);

    bool empty() const { return held() == 0 && spooled_ == spool_read_; }
    /// At the limit and not spooling: the source should pause.
    bool full() const { return !spool_ && held() >= kMemoryLimit; }
    void start_spooling();
    bool spooling() const { return static_cast<bool>(spool_); }
    /// When the client last took a byte.
    SteadyTime last_progress() const { return last_progress_; }

  private:
    std::size_t held() const { return memory_.size() - sent_; }
    void keep(std::string_view bytes);
    void refill();

    std::string spool_directory_;
    std::string memory_;    // oldest bytes
    std::size_t sent_ = 0;  // of memory_
    UniqueFd spool_;        // newer bytes
    std::size_t spooled_ = 0;
    std::size_t spool_read_ = 0;
    SteadyTime last_progress_ = std::chrono::steady_clock::now();
};

}  // namespace berth::shim
