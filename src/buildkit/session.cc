#include "buildkit/session.h"

#include <chrono>
#include <nlohmann/json.hpp>

#include "base/base64.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "buildkit/byte_stream.h"
#include "buildkit/messages.h"
#include "image/reference.h"

namespace berth::buildkit {

namespace {
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kHealthInterval(5);
constexpr seconds kHealthTime(15);
constexpr int kMostFailures = 2;
constexpr const char* kHealth = "/grpc.health.v1.Health/Check";
constexpr const char* kCredentials = "/moby.filesync.v1.Auth/Credentials";
constexpr const char* kCheckAgent = "/moby.sshforward.v1.SSH/CheckAgent";
constexpr const char* kForwardAgent = "/moby.sshforward.v1.SSH/ForwardAgent";
constexpr const char* kSecret = "/moby.buildkit.secrets.v1.Secrets/GetSecret";

async::Task<> check_health(grpc::Connection& connection) {
    co_await connection.call(kHealth, std::string());
}
}  // namespace

SessionHead session_head(const grpc::Metadata& headers) {
    SessionHead head;
    for (const auto& [name, value] : headers) {
        const std::string key = to_lower(name);
        if (key == "x-docker-expose-session-uuid") head.id = value;
        if (key == "x-docker-expose-session-name") head.name = value;
        if (key == "x-docker-expose-session-grpc-method") head.methods.insert(to_lower(value));
    }
    if (head.id.empty()) throw Error(ErrorKind::invalid, "the session has no id");
    return head;
}

Session::Session(async::Executor executor, UniqueFd socket, std::string early, SessionHead head,
                 async::TaskGroup& tasks)
    : head_(std::move(head)),
      tasks_(tasks),
      connection_(executor, std::move(socket), std::move(early), grpc::Role::client, tasks) {}

bool Session::serves(const std::string& method) const {
    return head_.methods.contains(to_lower(method));
}

async::Task<> Session::run(std::shared_ptr<Session> self) {
    self->tasks_.spawn("session health", watch(self));
    std::exception_ptr failure;
    try {
        co_await self->connection_.run();
    } catch (...) {
        failure = std::current_exception();
    }
    self->ended_.set();
    if (failure) std::rethrow_exception(failure);
}

async::Task<> Session::watch(std::shared_ptr<Session> self) {
    int failures = 0;
    while (failures < kMostFailures) {
        const auto wake = co_await self->ended_.wait_until(steady_clock::now() + kHealthInterval);
        if (wake == async::Wake::notified) co_return;
        bool healthy = false;
        try {
            const auto finish = co_await async::finish_by(steady_clock::now() + kHealthTime,
                                                          check_health(self->connection_));
            healthy = finish == async::Finish::done;
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::cancelled) co_return;
            healthy = error.kind() == ErrorKind::unsupported;  // it answers, after all
        }
        failures = healthy ? 0 : failures + 1;
    }
    log::info("session={} msg=\"the client no longer answers\"", self->head_.id);
    self->connection_.close();
}

namespace {
/// As clients know the registry of an image.
std::string registry_host(const std::string& image) {
    const std::string domain = image::Reference::parse(image).domain();
    return domain == "docker.io" ? "registry-1.docker.io" : domain;
}
}  // namespace

async::Task<std::string> registry_auth(std::shared_ptr<Session> session, std::string image) {
    if (!session || !session->serves(kCredentials)) co_return "";
    const std::string host = registry_host(image);
    const std::string reply =
        co_await session->connection().call(kCredentials, grpc::WireWriter().text(1, host).take());
    const std::string user = decode_text(reply, 1);
    const std::string secret = decode_text(reply, 2);
    if (secret.empty()) co_return "";
    nlohmann::json account{{"serveraddress", host}};
    if (user.empty()) {
        account["identitytoken"] = secret;
    } else {
        account["username"] = user;
        account["password"] = secret;
    }
    co_return encode_base64url(dump_json(account));
}

async::Task<bool> has_agent(std::shared_ptr<Session> session, std::string id) {
    if (!session || !session->serves(kCheckAgent)) co_return false;
    try {
        co_await session->connection().call(kCheckAgent, grpc::WireWriter().text(1, id).take());
        co_return true;
    } catch (const Error& error) {
        if (error.kind() == ErrorKind::cancelled) throw;
    }
    co_return false;
}

async::Task<> carry_to_agent(std::shared_ptr<Session> session, std::string id,
                             UniqueFd connection) {
    grpc::Metadata metadata{{"buildkit.ssh.id", id}};
    grpc::Call call = session->connection().open(kForwardAgent, std::move(metadata));
    co_await carry_bytes(call, std::move(connection), session->tasks(), grpc::Role::client);
}

async::Task<std::optional<std::string>> secret(std::shared_ptr<Session> session, std::string id) {
    if (!session || !session->serves(kSecret)) co_return std::nullopt;
    std::optional<std::string> reply;
    try {
        reply = co_await session->connection().call(kSecret, grpc::WireWriter().text(1, id).take());
    } catch (const Error& error) {
        if (error.kind() != ErrorKind::not_found) throw;
    }
    if (!reply) co_return std::nullopt;
    co_return decode_text(*reply);
}

}  // namespace berth::buildkit
