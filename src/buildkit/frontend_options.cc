#include "buildkit/frontend_options.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/json.h"
#include "base/number.h"
#include "base/text.h"
#include "build/git_source.h"
#include "build/ignore.h"
#include "linux/rooted_path.h"

namespace berth::buildkit {

namespace {
constexpr std::string_view kUploads = "http://buildkit-session/";

/// What follows the prefix of an option such as build-arg:NAME; empty for others.
std::string after(const std::string& key, std::string_view prefix) {
    return key.starts_with(prefix) ? key.substr(prefix.size()) : std::string();
}

std::int64_t number(const std::string& name, std::string_view text) {
    const auto value = whole_number<std::int64_t>(text);
    if (!value) throw Error(ErrorKind::invalid, "invalid value \"{}\" of {}", text, name);
    return *value;
}

/// "nofile=1024:2048,core=0"
std::vector<engine::model::Ulimit> ulimits(const std::string& text) {
    std::vector<engine::model::Ulimit> limits;
    for (const std::string_view item : words_of(text, ",")) {
        const auto equals = item.find('=');
        if (equals == std::string_view::npos)
            throw Error(ErrorKind::invalid, "invalid ulimit \"{}\"", item);
        const std::string_view values = item.substr(equals + 1);
        const auto colon = values.find(':');
        engine::model::Ulimit limit;
        limit.name = item.substr(0, equals);
        limit.soft = number("ulimit", values.substr(0, colon));
        limit.hard = colon == std::string_view::npos ? limit.soft
                                                     : number("ulimit", values.substr(colon + 1));
        limits.push_back(limit);
    }
    return limits;
}

/// "host=ip,host=ip" as "host:ip".
std::vector<std::string> extra_hosts(const std::string& text) {
    std::vector<std::string> hosts = copied_words_of(text, ",");
    for (auto& host : hosts)
        if (const auto equals = host.find('='); equals != std::string::npos) host[equals] = ':';
    return hosts;
}

void take_context(const std::string& value, FrontendOptions& options) {
    if (value.starts_with("local:")) {
        options.context = value.substr(6);
    } else if (value.starts_with(kUploads)) {
        options.upload = value.substr(kUploads.size());
    } else if (is_web_url(value) || build::parse_git_source(value)) {
        options.url = value;
    } else {
        throw Error(ErrorKind::unsupported,
                    "the build context \"{}\" is not supported: directories, archives and git "
                    "repositories are",
                    value);
    }
}

/// "a,b": stages; an empty one: all.
void take_no_cache(const std::string& value, engine::BuildRequest& request) {
    request.no_cache = value.empty();
    for (const std::string& stage : copied_words_of(value, ","))
        request.uncached_stages.insert(to_lower(stage));
}

/// Other frontends are images that run; a Dockerfile's own is built in.
void check_frontend(const SolveRequest& solve) {
    const auto source = solve.options.find("source");
    const bool dockerfile = solve.frontend == "dockerfile.v0" ||
                            (solve.frontend == "gateway.v0" && source != solve.options.end() &&
                             source->second.starts_with("docker/dockerfile"));
    if (!dockerfile)
        throw Error(ErrorKind::unsupported,
                    "the frontend {} is not supported: berth builds "
                    "Dockerfiles",
                    source == solve.options.end() ? solve.frontend : source->second);
}

void take_options(const SolveRequest& solve, FrontendOptions& options) {
    engine::BuildRequest& request = options.request;
    for (const auto& [key, value] : solve.options) {
        if (const auto name = after(key, "build-arg:"); !name.empty())
            request.arguments[name] = value;
        else if (const auto label = after(key, "label:"); !label.empty())
            request.labels[label] = value;
        else if (const auto context_name = after(key, "context:"); !context_name.empty())
            options.contexts[context_name] = value;
        else if (key == "requestid")
            options.subrequest = value;
        else if (key == "filename")
            options.filename = value;
        else if (key == "context")
            take_context(value, options);
        else if (key == "contextkey")
            options.context = value;
        else if (key == "dockerfilekey")
            options.dockerfile = value;
        else if (key == "target")
            request.target = value;
        else if (key == "platform")
            request.platform = value;
        else if (key == "no-cache")
            take_no_cache(value, request);
        else if (key == "image-resolve-mode")
            request.pull = value == "pull";
        else if (key == "force-network-mode")
            request.host.network_mode = value;
        else if (key == "add-hosts")
            request.host.extra_hosts = extra_hosts(value);
        else if (key == "shm-size")
            request.host.shm_size = number(key, value);
        else if (key == "ulimit")
            request.host.ulimits = ulimits(value);
        else if (key == "cgroup-parent")
            request.host.resources.cgroup_parent = value;
    }
}

/// [{"Type":"registry","Attrs":{"ref":…}}]
std::vector<Typed> cache_imports(const SolveRequest& solve) {
    const auto text = solve.options.find("cache-imports");
    if (!solve.cache_imports.empty() || text == solve.options.end()) return solve.cache_imports;
    const nlohmann::json list{{"cache-imports", parse_json(text->second)}};
    std::vector<Typed> imports;
    for (const JsonReader& entry : JsonReader(list).objects("cache-imports"))
        imports.push_back({entry.string("Type"), entry.string_map("Attrs")});
    return imports;
}

void take_caches(const SolveRequest& solve, FrontendOptions& options) {
    for (const Typed& cache : cache_imports(solve)) {
        const auto ref = cache.attributes.find("ref");
        if (ref != cache.attributes.end())
            options.request.cache_from.push_back(ref->second);
        else
            options.warnings.push_back("a cache of the type " + cache.type +
                                       " is not read: images and registries are");
    }
}
}  // namespace

FrontendOptions frontend_options(const SolveRequest& solve) {
    check_frontend(solve);
    FrontendOptions options;
    options.request.dialect = engine::BuildDialect::buildkit;
    options.request.remove_on_error = true;
    options.request.host = engine::model::host_config_from(nlohmann::json::object());
    options.inputs = solve.inputs;
    options.dockerfile_apart = solve.options.contains("dockerfilekey");
    take_options(solve, options);
    const auto keep = options.request.arguments.find("BUILDKIT_CONTEXT_KEEP_GIT_DIR");
    options.keep_git_directory =
        keep != options.request.arguments.end() && (keep->second == "1" || keep->second == "true");
    take_caches(solve, options);
    if (options.request.platform.find(',') != std::string::npos)
        throw Error(ErrorKind::unsupported, "an image of several platforms ({}) is not supported",
                    options.request.platform);
    return options;
}

std::vector<std::string> ignore_patterns(std::string_view text) {
    std::vector<std::string> patterns;
    for (std::string_view line : build::ignore_lines(text)) {
        const bool kept = line.starts_with('!');
        if (kept) line.remove_prefix(1);
        const std::string path = linux_os::clean_path(line).substr(1);
        patterns.push_back((kept ? "!" : "") + (path.empty() ? std::string(".") : path));
    }
    return patterns;
}

}  // namespace berth::buildkit
