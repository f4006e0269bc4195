#include "buildkit/job.h"

#include "build/git_source.h"
#include "buildkit/checks.h"
#include "buildkit/client_files.h"
#include "buildkit/named_contexts.h"
#include "buildkit/step_log.h"

namespace berth::buildkit {

namespace {
struct Definition final {
    std::string dockerfile;
    std::vector<std::string> ignored;
};

async::Task<Definition> read_definition(std::shared_ptr<Job> job) {
    const std::string& name = job->options.filename;
    const std::string own_ignore = name + ".dockerignore";
    const Vertex reading = job->progress->begin("[internal] load build definition from " + name);
    std::vector<std::string> names{name, own_ignore};
    Attributes files = co_await read_files(job, job->options.dockerfile, std::move(names), reading,
                                           "transferring dockerfile:");
    if (!files.contains(name))
        throw Error(ErrorKind::invalid,
                    "failed to read dockerfile: open {}: no such file or directory", name);
    job->progress->complete(reading);
    Definition definition{files[name], {}};
    const Vertex ignoring = job->progress->begin("[internal] load .dockerignore");
    if (!files.contains(own_ignore) && job->options.upload.empty() && job->options.url.empty()) {
        const std::string common = ".dockerignore";
        std::vector<std::string> ignore_names{common};
        Attributes found = co_await read_files(job, job->options.context, std::move(ignore_names),
                                               ignoring, "transferring context:");
        files[own_ignore] = found[common];
    }
    definition.ignored = ignore_patterns(files[own_ignore]);
    job->progress->complete(ignoring);
    co_return definition;
}

/// The files of one context with the Dockerfile of another directory.
ContextPointer with_dockerfile(ContextPointer files, std::string text) {
    struct Joined final {
        ContextPointer files;
        engine::BuildContext context;
    };
    const auto joined = std::make_shared<Joined>();
    joined->files = files;
    joined->context.directory = duplicate(files->directory);
    joined->context.dockerfile = std::move(text);
    return {joined, &joined->context};
}

async::Task<ContextPointer> fetch_remote(std::shared_ptr<Job> job) {
    const std::string& url = job->options.url;
    const bool apart = job->session && job->options.dockerfile_apart;
    Definition definition;
    if (apart) definition = co_await read_definition(job);
    const Vertex vertex = job->progress->begin(
        build::parse_git_source(url) ? "[internal] load git source " + url
                                     : std::string("[internal] load remote build context"));
    engine::RemoteContext remote = remote_context(*job, url, job->options.filename);
    remote.dockerfile_apart = apart;
    ContextPointer files =
        co_await job->engine.builder().fetch_context(std::move(remote), job->stop.get_token());
    job->progress->complete(vertex);
    if (apart) co_return with_dockerfile(std::move(files), std::move(definition.dockerfile));
    co_return files;
}

async::Task<ContextPointer> make_context(std::shared_ptr<Job> job) {
    if (job->archive) {
        ContextPointer sent = co_await job->engine.builder().unpack_context(
            std::move(job->archive), job->options.filename, job->stop.get_token());
        co_return sent;
    }
    if (!job->options.url.empty()) {
        ContextPointer remote = co_await fetch_remote(job);
        co_return remote;
    }
    if (!job->session)
        throw Error(ErrorKind::invalid, "no session: the client offers no build context");
    if (!job->options.upload.empty()) {
        ContextPointer whole = co_await fetch_upload(job);
        co_return whole;
    }
    Definition definition = co_await read_definition(job);
    ContextPointer files = co_await fetch_directory(
        job, job->options.context, std::move(definition.ignored), "[internal] load build context");
    co_return with_dockerfile(std::move(files), std::move(definition.dockerfile));
}

async::Task<> build_image(std::shared_ptr<Job> job) {
    ContextPointer context = co_await make_context(job);
    engine::BuildRequest request = job->options.request;
    if (job->session)
        request.registry_auth = [session = job->session](std::string image) {
            return registry_auth(session, std::move(image));
        };
    request.secrets = secrets_of(job->session);
    request.agents = agents_of(job->session);
    request.contexts = named_contexts(job);
    for (const std::string& warning : job->options.warnings) job->progress->warn({warning});
    check_dockerfile(*job, context->dockerfile);
    StepLog log(*job->progress, shown_steps(build::parse_dockerfile(context->dockerfile)));
    const engine::BuildResult result = co_await job->engine.builder().build(
        std::move(request), std::move(context), log, job->stop.get_token());
    if (result.failure) throw Error(ErrorKind::invalid, "{}", failure_text(*result.failure));
    job->image = result.image;
}

/// Without the files of the context where they come apart.
async::Task<std::string> read_dockerfile(std::shared_ptr<Job> job) {
    const FrontendOptions& options = job->options;
    if (!job->session || job->archive || !options.url.empty() || !options.upload.empty()) {
        const ContextPointer context = co_await make_context(job);
        co_return context->dockerfile;
    }
    Definition definition = co_await read_definition(job);
    co_return std::move(definition.dockerfile);
}

async::Task<> answer_client(std::shared_ptr<Job> job) {
    std::string dockerfile = co_await read_dockerfile(job);
    job->answer = answer_subrequest(*job, std::move(dockerfile));
}

async::Task<> run_whole(std::shared_ptr<Job> job) {
    try {
        if (job->options.subrequest.empty())
            co_await build_image(job);
        else
            co_await answer_client(job);
    } catch (...) {
        job->failure = std::current_exception();
    }
    job->done.set();
}

/// Requests the stop unless the job ended: also when the waiting coroutine is cancelled.
struct StopGuard final {
    explicit StopGuard(Job& what) : job(what) {}
    ~StopGuard() {
        if (!job.done.is_set()) job.stop.request_stop();
    }
    StopGuard(const StopGuard&) = delete;
    StopGuard& operator=(const StopGuard&) = delete;
    Job& job;
};
}  // namespace

async::Task<std::string> run_job(std::shared_ptr<Job> job) {
    const StopGuard guard(*job);
    job->tasks.spawn("build", run_whole(job));
    co_await job->done.wait();
    if (job->failure) std::rethrow_exception(job->failure);
    co_return job->image;
}

}  // namespace berth::buildkit
