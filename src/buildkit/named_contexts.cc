#include "buildkit/named_contexts.h"

#include "build/git_source.h"
#include "buildkit/client_files.h"

namespace berth::buildkit {

namespace {
constexpr const char* kIgnoreFile = ".dockerignore";

async::Task<ContextPointer> load_directory(std::shared_ptr<Job> job, std::string name,
                                           std::string directory) {
    if (!job->session)
        throw Error(ErrorKind::invalid, "no session: the client offers no build context {}", name);
    const Vertex vertex =
        job->progress->begin(fmt::format("[context {}] load {}", name, kIgnoreFile));
    std::vector<std::string> names{kIgnoreFile};
    Attributes files =
        co_await read_files(job, directory, std::move(names), vertex, "transferring context:");
    job->progress->complete(vertex);
    std::vector<std::string> ignored = ignore_patterns(files[kIgnoreFile]);
    std::string title = fmt::format("[context {}] load from client", name);
    co_return co_await fetch_directory(job, std::move(directory), std::move(ignored),
                                       std::move(title));
}

async::Task<ContextPointer> load_remote(std::shared_ptr<Job> job, std::string name,
                                        std::string url) {
    const Vertex vertex = job->progress->begin(fmt::format("[context {}] {}", name, url));
    engine::RemoteContext remote = remote_context(*job, std::move(url), "");
    ContextPointer files =
        co_await job->engine.builder().fetch_context(std::move(remote), job->stop.get_token());
    job->progress->complete(vertex);
    co_return files;
}

/// `source` is "docker-image://alpine", "local:name", "input:name", or an URL.
engine::NamedContext named_context(const std::shared_ptr<Job>& job, const std::string& name,
                                   const std::string& source) {
    const std::size_t colon = source.find(':');
    if (colon == std::string::npos)
        throw Error(ErrorKind::invalid, "invalid context specifier {} for {}", source, name);
    const std::string kind = source.substr(0, colon);
    std::string rest = source.substr(colon + 1);
    engine::NamedContext context;
    if (kind == "docker-image") {
        context.image = rest.substr(rest.starts_with("//") ? 2 : 0);
    } else if (kind == "input") {
        const auto found = job->options.inputs.find(rest);
        if (found == job->options.inputs.end())
            throw Error(ErrorKind::invalid, "invalid input {} for {}", rest, name);
        context.image = found->second;
    } else if (kind == "local") {
        context.files = [job, name, rest] { return load_directory(job, name, rest); };
    } else if (kind == "http" || kind == "https" || build::parse_git_source(source)) {
        context.files = [job, name, source] { return load_remote(job, name, source); };
    } else if (kind == "oci-layout") {
        throw Error(ErrorKind::unsupported,
                    "the build context {} is an OCI layout, which is not supported: load it with "
                    "docker load and name it docker-image://…",
                    name);
    } else {
        throw Error(ErrorKind::invalid, "unsupported context source {} for {}", kind, name);
    }
    return context;
}
}  // namespace

std::map<std::string, engine::NamedContext> named_contexts(const std::shared_ptr<Job>& job) {
    std::map<std::string, engine::NamedContext> contexts;
    for (const auto& [name, source] : job->options.contexts)
        contexts.emplace(name, named_context(job, name, source));
    return contexts;
}

engine::RemoteContext remote_context(const Job& job, std::string url, std::string dockerfile) {
    engine::RemoteContext remote;
    remote.url = std::move(url);
    remote.dockerfile = std::move(dockerfile);
    remote.secrets = secrets_of(job.session);
    remote.agents = agents_of(job.session);
    remote.keep_git_directory = job.options.keep_git_directory;
    return remote;
}

engine::BuildSecrets secrets_of(const std::shared_ptr<Session>& session) {
    return [session](std::string id) { return secret(session, std::move(id)); };
}

engine::BuildAgents agents_of(const std::shared_ptr<Session>& session) {
    engine::BuildAgents agents;
    agents.has = [session](std::string id) { return has_agent(session, std::move(id)); };
    agents.carry = [session](std::string id, UniqueFd connection) {
        return carry_to_agent(session, std::move(id), std::move(connection));
    };
    return agents;
}

}  // namespace berth::buildkit
