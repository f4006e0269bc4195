// Drives a real berth-shim over its control connection, with fake_runtime.py as the OCI runtime,
// in a user namespace of the test's own.
#pragma once

#include <gtest/gtest.h>

#include <list>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "linux/pid_fd.h"
#include "shim/protocol.h"

namespace berth::shim {

constexpr int kPatienceMs = 20'000;

/// Enters a user and mount namespace once; false with the reason where that is not allowed.
struct Entered final {
    bool ok = false;
    std::string reason;
};
Entered enter_namespaces_once();

/// The client's end of an attached stream; `theirs` goes to the shim.
struct ClientPair final {
    UniqueFd ours, theirs;
    ClientPair();
    void write(std::string_view bytes) const;
    void half_close() const;
    /// Everything up to the end of the stream.
    std::string read_to_end() const;
    /// Until `text` was seen; what was read so far.
    std::string read_until(std::string_view text) const;
};

struct Replied final {
    Reply reply;
    std::vector<UniqueFd> fds;
};

class ShimRun : public testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    /// Writes config.json and shim.json and starts the shim.
    void begin(const std::vector<std::string>& arguments);
    void create_and_start();
    void connect_again();
    void send(Request request, const std::vector<BorrowedFd>& fds = {});
    Replied ask(Request request, const std::vector<BorrowedFd>& fds = {});
    Reply attach(const ClientPair& client, StreamOptions options);
    Reply exec(const std::string& id, const std::vector<std::string>& arguments,
               const ClientPair& client, StreamOptions options, bool terminal = false);
    /// The next event that is no reply. Exits are acknowledged as soon as they are received.
    FromShim next_event();
    ExitEvent wait_exit();
    ExecExitEvent wait_exec_exit();
    /// True when the shim has ended.
    bool shim_ends();
    std::string log_text() const;

    std::string directory;
    ShimConfig config;
    UniqueFd control;
    linux_os::PidFd shim;

  private:
    Replied receive();
    void acknowledge(const FromShim& event);
    void shut_down();
    std::list<FromShim> events_;
    std::uint64_t seq_ = 0;
};

inline StreamOptions all_streams() { return {true, true, true, Framing::raw, "", ""}; }
inline StreamOptions output_only() { return {false, true, true, Framing::raw, "", ""}; }

/// Bytes that repeat nowhere near, so that loss and disorder show.
std::string pattern(std::size_t size);

}  // namespace berth::shim
