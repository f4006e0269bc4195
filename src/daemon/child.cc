#include "daemon/child.h"

#include <unistd.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "linux/enter_namespaces.h"
#include "linux/message_socket.h"
#include "linux/spawn.h"
#include "rootlesskit/process_record.h"

namespace berth::daemon {

using linux_os::PidFd;

Child::Child(std::string program, std::string record)
    : program_(std::move(program)), record_(std::move(record)) {}

void Child::start(const PidFd& holder) {
    auto [ours, theirs] = linux_os::message_socket_pair();
    linux_os::SpawnRequest request;
    request.program = linux_os::find_own_program(program_);
    request.arguments = {program_};
    request.environment = linux_os::current_environment();
    request.fds = {{BorrowedFd{STDOUT_FILENO}, STDOUT_FILENO},
                   {BorrowedFd{STDERR_FILENO}, STDERR_FILENO},
                   {theirs, linux_os::kSupervisorChannelFd},
                   {holder.fd(), linux_os::kHolderPidFd}};
    // A terminal's ^C must reach the supervisor alone, which then stops things in order.
    request.new_session = true;
    restarts_.started(std::chrono::steady_clock::now());
    start_at_.reset();
    process_ = linux_os::spawn(request);
    origin_ = Origin::spawned;
    killed_for_restart_ = false;
    channel_ = std::move(ours);
    // Before it can do anything: a supervisor that dies here must leave no unknown engine behind.
    rootlesskit::write_process_record(record_, process_);
}

void Child::configure(const nlohmann::json& message, const std::vector<BorrowedFd>& fds) {
    linux_os::send_message(channel_, dump_json(message), fds);
}

bool Child::adopt() {
    auto found = rootlesskit::read_process_record(record_);
    if (!found) return false;
    process_ = std::move(*found);
    origin_ = Origin::adopted;
    restarts_.started(std::chrono::steady_clock::now());
    ready = true;
    return true;
}

bool Child::ended() {
    if (!process_) return true;
    if (origin_ == Origin::adopted) {
        if (process_.alive()) return false;
        how_it_ended_ = "ended";
        return true;
    }
    const auto status = process_.try_reap();
    if (status) how_it_ended_ = fmt::format("ended with status {}", status->code);
    return status.has_value();
}

void Child::forget() {
    process_ = {};
    channel_.reset();
    ready = false;
    start_at_.reset();
    ::unlink(record_.c_str());
}

void Child::plan_restart() {
    forget();
    start_at_ = restarts_.ended(std::chrono::steady_clock::now());
}

void Child::kill_for_restart() {
    killed_for_restart_ = true;
    signal(SIGKILL);
}

void Child::signal(int number) const {
    if (process_) process_.signal(number);
}

bool Child::send(const nlohmann::json& message) const {
    return channel_ &&
           linux_os::send_message(channel_, dump_json(message)) == linux_os::SendResult::sent;
}

}  // namespace berth::daemon
