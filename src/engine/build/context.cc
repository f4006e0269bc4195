// The files of a build: a client's tar, unpacked below the data root until the build is over.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "archive/compression.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "build/ignore.h"
#include "build/lines.h"
#include "engine/build/build_state.h"
#include "engine/build/download.h"
#include "engine/build/git_access.h"
#include "engine/build/scratch.h"
#include "engine/image/state.h"
#include "linux/rooted_path.h"
#include "storage/entry_file.h"
#include "storage/extract.h"

namespace berth::engine {

namespace {

/// The context and the directory that goes with it.
struct UnpackedContext final {
    std::shared_ptr<const ScratchDirectory> scratch;
    BuildContext context;
};

storage::Owner as_root(storage::Owner) { return {}; }

std::string read_dockerfile(BorrowedFd directory, const std::string& path) {
    if (linux_os::climbs_out(path))
        throw Error(ErrorKind::invalid, "Forbidden path outside the build context: {} ({})", path,
                    path);
    auto text = linux_os::read_file_in_root(directory, path, build::kMaxDockerfile);
    // Clients look for this text.
    if (!text) throw Error(ErrorKind::invalid, "Cannot locate specified Dockerfile: {}", path);
    if (text->empty()) throw Error(ErrorKind::invalid, "the Dockerfile ({}) cannot be empty", path);
    return *std::move(text);
}

/// The client leaves them in the tar when they are needed here only.
void remove_ignored(BorrowedFd directory, const std::string& dockerfile) {
    const auto text =
        linux_os::read_file_in_root(directory, ".dockerignore", build::kMaxIgnoreFile);
    if (!text) return;
    const build::IgnoreFile ignore(*text);
    for (const std::string& path : {std::string(".dockerignore"), dockerfile}) {
        const std::string clean = storage::clean_entry_path(path);
        if (!ignore.excludes(clean)) continue;
        const storage::SplitPath parts = storage::split_path(clean);
        const UniqueFd parent = linux_os::open_in_root(
            directory, "/" + parts.directory, O_PATH | O_DIRECTORY, linux_os::Resolve::in_root);
        storage::remove_at({parent, parts.name, clean});
    }
}

/// Leaves out what .dockerignore names. A directory goes whole unless something in it is kept.
void apply_ignore_file(BorrowedFd root, const std::string& dockerfile) {
    const auto text = linux_os::read_file_in_root(root, ".dockerignore", build::kMaxIgnoreFile);
    if (!text) return;
    const build::IgnoreFile ignore(*text);
    const std::string kept = storage::clean_entry_path(dockerfile);
    std::vector<std::string> directories{""};
    while (!directories.empty()) {
        const std::string directory = std::move(directories.back());
        directories.pop_back();
        const UniqueFd parent = linux_os::open_in_root(root, "/" + directory, O_PATH | O_DIRECTORY,
                                                       linux_os::Resolve::no_symlinks);
        for (const std::string& name : storage::names_in(parent, directory)) {
            const std::string path = storage::join_path(directory, name);
            const storage::Place place{parent, name, path};
            const bool is_directory = S_ISDIR(storage::status_of(place).st_mode);
            const bool excluded = path != kept && ignore.excludes(path);
            const bool keeps_some = ignore.has_exceptions() || linux_os::is_below(kept, path);
            if (excluded && !(is_directory && keeps_some))
                storage::remove_at(place);
            else if (is_directory)
                directories.push_back(path);
        }
    }
}

void take_dockerfile(BuildContext& context, const std::string& path) {
    context.dockerfile = read_dockerfile(context.directory, path);
    apply_ignore_file(context.directory, path);
}

std::shared_ptr<UnpackedContext> new_context(const std::string& builds) {
    auto unpacked = std::make_shared<UnpackedContext>();
    unpacked->scratch = std::make_shared<const ScratchDirectory>(builds);
    unpacked->context.directory = open_file(unpacked->scratch->path(), O_RDONLY | O_DIRECTORY);
    return unpacked;
}

/// The docker CLI ends its tar within a block when the Dockerfile is not in the context (-f).
archive::CallbackSource in_whole_blocks(archive::Source& below) {
    constexpr std::size_t kBlock = 512;
    return archive::CallbackSource(
        [&below, size = std::size_t{0}](std::span<char> buffer) mutable -> std::size_t {
            std::size_t count = below.read(buffer);
            if (count == 0 && size % kBlock != 0) {
                count = std::min(buffer.size(), kBlock - size % kBlock);
                std::ranges::fill(buffer.first(count), '\0');
            }
            size += count;
            return count;
        });
}

void extract(const UnpackedContext& unpacked, BorrowedFd tar, std::stop_token stop) {
    const storage::ExtractRequest request{.root = unpacked.context.directory,
                                          .directory = "/",
                                          .owner = as_root,
                                          .stop = std::move(stop)};
    archive::FdSource source(tar);
    const std::unique_ptr<archive::Source> plain = archive::decompress(source);
    archive::CallbackSource whole = in_whole_blocks(*plain);
    storage::extract_tar(request, whole);
}

std::shared_ptr<const BuildContext> unpack(const std::string& builds, BorrowedFd tar,
                                           const std::string& dockerfile, std::stop_token stop) {
    const std::shared_ptr<UnpackedContext> unpacked = new_context(builds);
    extract(*unpacked, tar, std::move(stop));
    const UniqueFd& root = unpacked->context.directory;
    if (!dockerfile.empty()) {
        unpacked->context.dockerfile = read_dockerfile(root, dockerfile);
        remove_ignored(root, dockerfile);
    }
    return {unpacked, &unpacked->context};
}

/// A web server's answer: a tar, or the Dockerfile itself. A file alone is named "context".
std::shared_ptr<const BuildContext> fetch_file(
    const std::string& builds, const RemoteContext& remote,
    const std::shared_ptr<const image::RegistrySettings>& registry, std::stop_token stop) {
    const std::shared_ptr<UnpackedContext> unpacked = new_context(builds);
    const ScratchDirectory fetched(builds);
    const bool alone = remote.dockerfile.empty();
    const std::string& directory = alone ? unpacked->scratch->path() : fetched.path();
    const UniqueFd file = open_file(directory + "/context", O_RDWR | O_CREAT, 0600);
    download_to(file, remote.url, registry, stop);
    if (alone) return {unpacked, &unpacked->context};
    const auto rewind = [&] {
        if (::lseek(file.get(), 0, SEEK_SET) < 0) throw_errno("rewinding the build context");
    };
    rewind();
    const bool archive = is_tar(file);
    rewind();
    if (archive) {
        extract(*unpacked, file, std::move(stop));
        if (!remote.dockerfile_apart) take_dockerfile(unpacked->context, remote.dockerfile);
    } else {
        unpacked->context.dockerfile = read_all(file, build::kMaxDockerfile);
    }
    return {unpacked, &unpacked->context};
}

std::shared_ptr<const BuildContext> fetch_repository(const std::string& builds,
                                                     const GitCheckout& checkout,
                                                     const std::string& dockerfile) {
    const std::shared_ptr<UnpackedContext> unpacked = new_context(builds);
    check_out(checkout, unpacked->scratch->path());
    const std::string& directory = checkout.source.directory;
    if (!directory.empty())
        unpacked->context.directory =
            linux_os::open_in_root(unpacked->context.directory, "/" + directory,
                                   O_RDONLY | O_DIRECTORY, linux_os::Resolve::no_symlinks);
    if (!dockerfile.empty()) take_dockerfile(unpacked->context, dockerfile);
    return {unpacked, &unpacked->context};
}

/// The removal of files may take a while: a worker's.
std::shared_ptr<const BuildContext> removed_by_worker(const Context& engine,
                                                      std::shared_ptr<const BuildContext> context) {
    const BuildContext* files = context.get();
    const auto release = [&engine, context = std::move(context)](const BuildContext*) mutable {
        auto job = [last = std::move(context)]() mutable { last.reset(); };
        engine.tasks.spawn("remove build files", engine.pool.run(std::move(job)));
    };
    return {files, release};
}

}  // namespace

ScratchDirectory::ScratchDirectory(const std::string& builds)
    : path_(builds + "/" + random_hex_id().substr(0, 16)) {
    make_directories(path_, 0700);
}

ScratchDirectory::~ScratchDirectory() {
    try {
        remove_tree(path_);
    } catch (const std::exception& error) {
        log::warn("files of a build stay until the next start: {}", error.what());
    }
}

async::Task<std::shared_ptr<const BuildContext>> Builder::unpack_context(UniqueFd tar,
                                                                         std::string dockerfile,
                                                                         std::stop_token stop) {
    const auto file = std::make_shared<UniqueFd>(std::move(tar));
    auto job = [file, dockerfile, stop, builds = state_->directory()] {
        return unpack(builds, *file, dockerfile, stop);
    };
    const Context& engine = state_->deps.context;
    auto context = co_await engine.pool.run_on_thread("build context", std::move(job));
    co_return removed_by_worker(engine, std::move(context));
}

async::Task<std::shared_ptr<const BuildContext>> Builder::fetch_context(RemoteContext remote,
                                                                        std::stop_token stop) {
    const Context& engine = state_->deps.context;
    const auto registry = state_->deps.images.state().registry;
    std::shared_ptr<const BuildContext> context;
    if (auto source = build::parse_git_source(remote.url)) {
        const HeldGitAccess held =
            co_await git_access(engine, *source, remote.secrets, remote.agents);
        GitCheckout checkout{*std::move(source), held.access, registry, stop,
                             remote.keep_git_directory};
        auto job = [checkout = std::move(checkout), builds = state_->directory(),
                    dockerfile = remote.dockerfile_apart ? "" : remote.dockerfile] {
            return fetch_repository(builds, checkout, dockerfile);
        };
        context = co_await engine.pool.run_on_thread("build context", std::move(job));
    } else if (is_web_url(remote.url)) {
        auto job = [remote, registry, stop, builds = state_->directory()] {
            return fetch_file(builds, remote, registry, stop);
        };
        context = co_await engine.pool.run_on_thread("build context", std::move(job));
    } else {
        throw Error(ErrorKind::invalid,
                    "the build context {} is none that can be fetched: give an http or https URL "
                    "of a tar archive or a Dockerfile, or a git repository",
                    remote.url);
    }
    co_return removed_by_worker(engine, std::move(context));
}

}  // namespace berth::engine
