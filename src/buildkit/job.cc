#include "buildkit/job.h"

#include "archive/tar_reader.h"
#include "async/fd_wait.h"
#include "buildkit/file_sync.h"
#include "buildkit/step_log.h"
#include "linux/socket_pair.h"

namespace berth::buildkit {

namespace {
using ContextPointer = std::shared_ptr<const engine::BuildContext>;

constexpr std::size_t kMostText = 16U << 20;  // of a Dockerfile with its ignore file
constexpr std::int64_t kTold = 1 << 20;       // bytes of a context between two notes of it
constexpr const char* kUpload = "/moby.upload.v1.Upload/Pull";

/// Small files of a client's directory by name.
async::Task<Attributes> read_files(std::shared_ptr<Job> job, std::string directory,
                                   std::vector<std::string> names, const Vertex& vertex,
                                   std::string transfer) {
    std::string tar;
    SyncRequest request;
    request.directory = std::move(directory);
    request.include = std::move(names);
    TarOutput output = [&tar](std::string bytes) -> async::Task<> {
        tar += bytes;
        if (tar.size() > kMostText) throw Error(ErrorKind::invalid, "the Dockerfile is too large");
        co_return;
    };
    std::int64_t received = 0;
    SyncProgress progress = [&received](std::int64_t bytes) { received = bytes; };
    co_await sync_files(job->session, std::move(request), std::move(output), std::move(progress));
    job->progress->transfer(vertex, transfer, received, 0);
    job->progress->transferred(vertex, transfer);
    archive::MemorySource source(tar);
    archive::TarReader reader(source);
    Attributes files;
    while (const auto entry = reader.next())
        if (entry->type == archive::EntryType::file)
            files[entry->path] = archive::read_to_string(reader, kMostText);
    co_return files;
}

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
    if (!files.contains(own_ignore) && job->options.upload.empty()) {
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

/// A tar that is unpacked while it comes.
struct Unpacking final {
    async::Event done;
    ContextPointer context;
    std::exception_ptr failure;
};

async::Task<> unpack(std::shared_ptr<Job> job, std::shared_ptr<Unpacking> unpacking, UniqueFd tar,
                     std::string dockerfile) {
    try {
        unpacking->context = co_await job->engine.builder().unpack_context(
            std::move(tar), std::move(dockerfile), job->stop.get_token());
    } catch (...) {
        unpacking->failure = std::current_exception();
    }
    unpacking->done.set();
}

async::Task<> send_directory(std::shared_ptr<Job> job, std::vector<std::string> ignored,
                             UniqueFd into) {
    const Vertex vertex = job->progress->begin("[internal] load build context");
    SyncRequest request;
    request.directory = job->options.context;
    request.exclude = std::move(ignored);
    TarOutput output = [&into](std::string bytes) -> async::Task<> {
        const bool wanted = co_await async::send_all(into, bytes);
        if (!wanted) throw Error(ErrorKind::cancelled, "the context is not wanted");
    };
    const std::string transfer = "transferring context:";
    std::int64_t told = 0;
    std::int64_t received = 0;
    SyncProgress progress = [&](std::int64_t bytes) {
        received = bytes;
        if (bytes - told < kTold) return;
        told = bytes;
        job->progress->transfer(vertex, transfer, bytes, 0);
    };
    co_await sync_files(job->session, std::move(request), std::move(output), std::move(progress));
    job->progress->transfer(vertex, transfer, received, 0);
    job->progress->transferred(vertex, transfer);
    job->progress->complete(vertex);
}

/// A context from the client's standard input: an archive, of any compression.
async::Task<> send_upload(std::shared_ptr<Job> job, UniqueFd into) {
    const Vertex vertex = job->progress->begin("[internal] load remote build context");
    grpc::Metadata metadata{{"urlpath", "/" + job->options.upload},
                            {"urlhost", "buildkit-session"}};
    grpc::Call call = job->session->connection().open(kUpload, std::move(metadata));
    call.finish_sending();
    for (;;) {
        const auto message = co_await call.read();
        if (!message) break;
        const std::string bytes = decode_text(*message);
        const bool wanted = co_await async::send_all(into, bytes);
        if (!wanted) break;
    }
    job->progress->complete(vertex);
}

async::Task<> send_context(std::shared_ptr<Job> job, std::vector<std::string> ignored,
                           UniqueFd into) {
    if (job->options.upload.empty())
        co_await send_directory(job, std::move(ignored), std::move(into));
    else
        co_await send_upload(job, std::move(into));
}

/// `dockerfile` is a name in the context, or empty.
async::Task<ContextPointer> fetch_context(std::shared_ptr<Job> job,
                                          std::vector<std::string> ignored,
                                          std::string dockerfile) {
    auto [writer, reader] = linux_os::stream_socket_pair();
    const auto unpacking = std::make_shared<Unpacking>();
    job->tasks.spawn("unpacking a build context",
                     unpack(job, unpacking, std::move(reader), std::move(dockerfile)));
    std::exception_ptr failure;
    try {
        co_await send_context(job, std::move(ignored), std::move(writer));
    } catch (...) {
        failure = std::current_exception();
        job->stop.request_stop();
    }
    co_await unpacking->done.wait();
    if (failure && !async::is_cancellation(failure)) std::rethrow_exception(failure);
    if (unpacking->failure) std::rethrow_exception(unpacking->failure);
    if (failure) std::rethrow_exception(failure);
    co_return unpacking->context;
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

async::Task<ContextPointer> make_context(std::shared_ptr<Job> job) {
    if (!job->options.url.empty()) {
        const Vertex vertex = job->progress->begin("[internal] load remote build context");
        ContextPointer fetched = co_await job->engine.builder().fetch_context(
            job->options.url, job->options.filename, job->stop.get_token());
        job->progress->complete(vertex);
        co_return fetched;
    }
    if (!job->session)
        throw Error(ErrorKind::invalid, "no session: the client offers no build context");
    if (!job->options.upload.empty()) {
        std::vector<std::string> none;
        ContextPointer whole = co_await fetch_context(job, std::move(none), job->options.filename);
        co_return whole;
    }
    Definition definition = co_await read_definition(job);
    ContextPointer files = co_await fetch_context(job, std::move(definition.ignored), "");
    co_return with_dockerfile(std::move(files), std::move(definition.dockerfile));
}

async::Task<> build_image(std::shared_ptr<Job> job) {
    ContextPointer context = co_await make_context(job);
    engine::BuildRequest request = job->options.request;
    request.registry_auth = [session = job->session](std::string image) {
        return registry_auth(session, std::move(image));
    };
    request.secrets = [session = job->session](std::string id) {
        return secret(session, std::move(id));
    };
    StepLog log(*job->progress, shown_steps(build::parse_dockerfile(context->dockerfile)));
    const engine::BuildResult result = co_await job->engine.builder().build(
        std::move(request), std::move(context), log, job->stop.get_token());
    if (result.failure) throw Error(ErrorKind::invalid, "{}", failure_text(*result.failure));
    job->image = result.image;
}

async::Task<> run_whole(std::shared_ptr<Job> job) {
    try {
        co_await build_image(job);
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
