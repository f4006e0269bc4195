#include "engine/build/git_access.h"

#include "base/base64.h"

namespace berth::engine {

namespace {

constexpr const char* kAgent = "default";

/// GIT_AUTH_HEADER has the header's value, GIT_AUTH_TOKEN a token; either may be for one host.
async::Task<std::string> authorization(std::string host, BuildSecrets secrets) {
    for (const std::string& suffix : {"." + host, std::string()}) {
        const std::string header_name = "GIT_AUTH_HEADER" + suffix;
        if (const auto header = co_await secrets(header_name)) co_return *header;
        const std::string token_name = "GIT_AUTH_TOKEN" + suffix;
        if (const auto token = co_await secrets(token_name))
            co_return "basic " + encode_base64("x-access-token:" + *token);
    }
    co_return "";
}

}  // namespace

async::Task<HeldGitAccess> git_access(const Context& engine, build::GitSource source,
                                      BuildSecrets secrets, BuildAgents agents) {
    HeldGitAccess held;
    if (source.remote.starts_with("http") && secrets)
        held.access.authorization = co_await authorization(source.host(), std::move(secrets));
    if (!source.is_ssh() || !agents.has) co_return held;
    const bool has_agent = co_await agents.has(kAgent);
    if (!has_agent) co_return held;
    held.agent = std::make_shared<const AgentSocket>(engine, std::move(agents), kAgent,
                                                     AgentSocket::Access{});
    held.access.agent_socket = held.agent->path();
    co_return held;
}

}  // namespace berth::engine
