// What Images does at registries besides pulling: push, login, search, distribution.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/image/post_progress.h"
#include "engine/image/state.h"
#include "image/account.h"
#include "image/distribution.h"
#include "image/push.h"

namespace berth::engine {

using nlohmann::json;

namespace {

constexpr std::int64_t kMaxFound = 100;

json platform_json(const oci::Platform& platform) {
    json result{{"architecture", platform.architecture}, {"os", platform.os}};
    if (!platform.variant.empty()) result["variant"] = platform.variant;
    return result;
}

/// The least number of stars that the filters ask for.
std::int64_t least_stars(const Filters& filters) {
    std::int64_t result = 0;
    for (const std::string& text : filters.values("stars")) {
        const bool is_number = !text.empty() && text.size() < 10 &&
                               text.find_first_not_of("0123456789") == std::string::npos;
        if (!is_number) throw Error(ErrorKind::invalid, "invalid filter 'stars=[{}]'", text);
        result = std::max<std::int64_t>(result, std::stoll(text));
    }
    return result;
}

}  // namespace

async::Task<void> Images::push(PushRequest request, ProgressSink sink, std::stop_token stop) {
    image::PushRequest wanted{image::Reference::parse(request.name, request.tag), request.platform,
                              image::decode_registry_auth(request.registry_auth)};
    const image::Reference reference = wanted.reference;
    const std::string name = reference.familiar();
    const std::string repository = reference.familiar_name();
    auto progress = post_progress(state_->deps.context.executor, std::move(sink));
    ImageState* state = state_.get();
    auto job = [state, registry = state->registry, wanted = std::move(wanted),
                progress = std::move(progress), stop] {
        image::push(*state->store, *state->archives, *registry, wanted, progress, stop);
    };
    co_await state->deps.context.pool.run_on_thread("push", std::move(job));
    const auto pushed = state->store->find(reference);
    state->publish(name, "push", repository, pushed ? pushed->labels : model::Labels());
}

async::Task<json> Images::login(RegistryLogin login, std::stop_token stop) {
    image::Credentials credentials;
    credentials.username = std::move(login.username);
    credentials.password = std::move(login.password);
    credentials.identity_token = std::move(login.identity_token);
    credentials.server_address = std::move(login.server_address);
    auto job = [registry = state_->registry, credentials = std::move(credentials), stop] {
        return image::log_in(*registry, credentials, stop);
    };
    const std::string token =
        co_await state_->deps.context.pool.run_on_thread("login", std::move(job));
    co_return json{{"Status", "Login Succeeded"}, {"IdentityToken", token}};
}

async::Task<json> Images::search(SearchRequest request, std::stop_token stop) {
    request.filters.check_keys({"is-automated", "is-official", "stars"});
    const std::optional<bool> official = request.filters.boolean("is-official");
    const bool automated = request.filters.boolean("is-automated").value_or(false);
    const std::int64_t stars = least_stars(request.filters);
    if (request.limit < 1 || request.limit > kMaxFound)
        throw Error(ErrorKind::invalid, "limit {} is outside the range of [1, {}]", request.limit,
                    kMaxFound);
    json result = json::array();
    if (automated) co_return result;  // no registry has such repositories any more
    auto job = [registry = state_->registry, term = request.term, limit = request.limit,
                credentials = image::decode_registry_auth(request.registry_auth),
                stop] { return image::search(*registry, term, limit, credentials, stop); };
    const std::vector<image::FoundRepository> found =
        co_await state_->deps.context.pool.run_on_thread("search", std::move(job));
    for (const image::FoundRepository& each : found) {
        if (each.stars < stars || (official && *official != each.is_official)) continue;
        result.push_back({{"name", each.name},
                          {"description", each.description},
                          {"is_official", each.is_official},
                          {"is_automated", false},
                          {"star_count", each.stars}});
    }
    co_return result;
}

async::Task<json> Images::distribution(std::string name, std::string registry_auth,
                                       std::stop_token stop) {
    auto job = [registry = state_->registry, reference = image::Reference::parse(name),
                credentials = image::decode_registry_auth(registry_auth),
                stop] { return image::describe_remote(*registry, reference, credentials, stop); };
    const image::RemoteImage remote =
        co_await state_->deps.context.pool.run_on_thread("distribution", std::move(job));
    json platforms = json::array();
    for (const oci::Platform& platform : remote.platforms)
        platforms.push_back(platform_json(platform));
    co_return json{{"Descriptor",
                    {{"mediaType", remote.descriptor.media_type},
                     {"digest", remote.descriptor.digest.str()},
                     {"size", remote.descriptor.size}}},
                   {"Platforms", std::move(platforms)}};
}

}  // namespace berth::engine
