#include "buildkit/service.h"

#include <chrono>

#include "buildkit/methods.h"
#include "engine/engine.h"

namespace berth::buildkit {

namespace {
using std::chrono::steady_clock;

constexpr std::chrono::seconds kLate(10);
constexpr std::size_t kMostRetired = 16;

template <typename Map>
typename Map::mapped_type found_in(const Map& map, const std::string& key) {
    const auto found = map.find(key);
    return found == map.end() ? nullptr : found->second;
}
}  // namespace

Service::Service(async::Executor executor, engine::Engine& engine, async::TaskGroup& tasks)
    : executor_(std::move(executor)),
      engine_(engine),
      tasks_(tasks),
      history_(engine.settings().data_root + "/build-history", file_work_) {}

async::Task<> Service::serve(UniqueFd socket, std::string early) {
    grpc::Connection connection(executor_, std::move(socket), std::move(early), grpc::Role::server,
                                tasks_, [this](grpc::Call call) { return answer(call); });
    co_await connection.run();
}

async::Task<> Service::answer(grpc::Call call) {
    for (const Methods methods : {control_methods(), bridge_methods(), history_methods()})
        for (const auto& [name, method] : methods)
            if (name == call.method()) co_return co_await method(*this, call);
    throw Error(ErrorKind::unsupported, "berth does not serve {}", call.method());
}

async::Task<> Service::serve_session(UniqueFd socket, std::string early, SessionHead head) {
    const std::string id = head.id;
    const auto session = std::make_shared<Session>(executor_, std::move(socket), std::move(early),
                                                   std::move(head), tasks_);
    if (!sessions_.emplace(id, session).second)
        throw Error(ErrorKind::conflict, "a session {} exists already", id);
    changed_.notify_all();
    std::exception_ptr failure;
    try {
        co_await Session::run(session);
    } catch (...) {
        failure = std::current_exception();
    }
    sessions_.erase(id);
    if (failure) std::rethrow_exception(failure);
}

async::Task<std::shared_ptr<Session>> Service::find_session(std::string id) {
    const auto deadline = steady_clock::now() + kLate;
    for (async::Wake wake = async::Wake::notified; wake == async::Wake::notified;) {
        if (const auto session = found_in(sessions_, id)) co_return session;
        wake = co_await changed_.wait_until(deadline);
    }
    throw Error(ErrorKind::not_found, "no active session for {}", id);
}

async::Task<std::shared_ptr<Build>> Service::find_build(std::string ref) {
    const auto deadline = steady_clock::now() + kLate;
    for (async::Wake wake = async::Wake::notified; wake == async::Wake::notified;) {
        if (const auto build = found_in(builds_, ref)) co_return build;
        wake = co_await changed_.wait_until(deadline);
    }
    throw Error(ErrorKind::not_found, "no such job {}", ref);
}

void Service::add_build(const std::shared_ptr<Build>& build) {
    if (!builds_.emplace(build->request.ref, build).second)
        throw Error(ErrorKind::conflict, "job ID {} exists", build->request.ref);
    changed_.notify_all();
}

void Service::cancel(const std::string& id) {
    for (const auto& [ref, build] : builds_)
        if (build->id == id) build->cancel.cancel();
}

async::Task<> Service::offer_upload(std::string build, UniqueFd archive) {
    uploads_[build] = std::move(archive);
    changed_.notify_all();
    const auto deadline = steady_clock::now() + kLate;
    for (async::Wake wake = async::Wake::notified; wake == async::Wake::notified;) {
        if (!uploads_.contains(build)) co_return;
        wake = co_await changed_.wait_until(deadline);
    }
    uploads_.erase(build);
    throw Error(ErrorKind::invalid, "no build takes the context of {}", build);
}

async::Task<UniqueFd> Service::take_upload(std::string build) {
    const auto deadline = steady_clock::now() + kLate;
    for (async::Wake wake = async::Wake::notified; wake == async::Wake::notified;) {
        if (auto found = uploads_.extract(build)) {
            changed_.notify_all();
            co_return std::move(found.mapped());
        }
        wake = co_await changed_.wait_until(deadline);
    }
    throw Error(ErrorKind::invalid, "no context comes for {}", build);
}

void Service::retire(const std::string& ref) {
    retired_.push_back(ref);
    if (retired_.size() <= kMostRetired) return;
    builds_.erase(retired_.front());
    retired_.pop_front();
}

}  // namespace berth::buildkit
