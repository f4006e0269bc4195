#include "engine/build/run_mounts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/produced_source.h"
#include "async/sync.h"
#include "base/file.h"
#include "base/id.h"
#include "engine/build/scratch.h"
#include "engine/volume/tmpfs.h"
#include "linux/rooted_path.h"
#include "storage/entry_file.h"
#include "storage/extract.h"

namespace berth::engine {

/// A tmpfs in the engine's mount namespace with a file for each secret.
class SecretFiles final {
  public:
    explicit SecretFiles(const std::string& exec_root) {
        const std::string root = exec_root + "/build-secrets";
        path_ = root + "/" + random_hex_id().substr(0, 16);
        make_directories(path_, 0700);
        mount_tmpfs(root, path_, {"mode=0700", "noexec"}, std::nullopt);
    }
    ~SecretFiles() {
        unmount_tmpfs(path_);
        ::rmdir(path_.c_str());
    }
    SecretFiles(const SecretFiles&) = delete;
    SecretFiles& operator=(const SecretFiles&) = delete;

    std::string add(const build::RunMount& mount, const std::string& content,
                    std::size_t number) const {
        std::string path = fmt::format("{}/{}", path_, number);
        const UniqueFd file = open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        write_all(file, content);
        if (::fchown(file.get(), mount.uid.value_or(0), mount.gid.value_or(0)) < 0 ||
            ::fchmod(file.get(), mount.mode.value_or(0400)) < 0)
            throw_errno("the owner and mode of the secret {}", mount.id);
        return path;
    }

  private:
    std::string path_;
};

namespace {

using build::RunMountType;

constexpr std::size_t kMaxSecret = 500U << 10;  // BuildKit's
constexpr std::chrono::milliseconds kCacheRetry{100};

/// A copy of one place of a tree under another name.
struct TreeCopy final {
    SharedTree tree;
    std::string source;
    std::string name;
    std::stop_token stop;

    CopyRequest request() const {
        CopyRequest request;
        request.target = std::make_shared<const storage::FileTree>(std::vector<UniqueFd>());
        return request;
    }
    CopyPlan plan() const {
        CopyPlan plan;
        plan.items.push_back({tree, source, name, false});
        return plan;
    }
    Digest digest() const { return digest_of_copy(request(), plan(), stop); }
    void write_to(const std::string& directory) const {
        archive::ProducedSource tar(
            [this](archive::Sink& sink) { write_copy(request(), plan(), sink, stop); });
        const UniqueFd root = open_file(directory, O_RDONLY | O_DIRECTORY);
        storage::extract_tar({.root = root, .directory = "/", .stop = stop}, tar);
    }
};

async::Task<void> find_files(Build& build, PlannedMount& mount) {
    mount.from = co_await source_named(build, mount.what.from);
    const SharedTree tree = mount.from.tree;
    const std::string wanted = storage::clean_entry_path(linux_os::clean_path(mount.what.source));
    mount.source = tree->resolve(wanted);
    if (!tree->find(mount.source))
        throw Error(ErrorKind::invalid, "failed to compute cache key: \"/{}\": not found", wanted);
    if (mount.from.image) {
        mount.key += " " + mount.from.image->id_text();
        co_return;
    }
    TreeCopy files{tree, mount.source, "x", build.stop};
    auto job = [files] { return files.digest(); };
    const Digest digest = co_await build.engine().pool.run_on_thread("build mount", std::move(job));
    mount.key += " " + digest.str();
}

model::MountObject mount_object(const PlannedMount& mount, std::string type, std::string source) {
    model::MountObject object;
    object.type = std::move(type);
    object.source = std::move(source);
    object.target = mount.what.target;
    object.read_only = mount.what.read_only;
    return object;
}

/// Made when the step needs it first.
const std::shared_ptr<const ScratchDirectory>& copies_of(const Build& build, StepMounts& made) {
    if (!made.copies)
        made.copies = std::make_shared<const ScratchDirectory>(build.state.directory());
    return made.copies;
}

async::Task<void> add_bind(Build& build, const PlannedMount& mount, StepMounts& made) {
    const auto& image = mount.from.image;
    if (mount.what.read_only && image && image->id) {
        model::MountObject object = mount_object(mount, "image", image->id_text());
        object.subpath = mount.source;
        made.mounts.push_back(std::move(object));
        co_return;
    }
    if (mount.what.read_only && !image) {
        const std::string context = linux_os::link_target(
            open_file(fmt::format("/proc/self/fd/{}", mount.from.directory->directory.get()),
                      O_PATH | O_NOFOLLOW));
        made.mounts.push_back(mount_object(mount, "bind", context + "/" + mount.source));
        co_return;
    }
    const auto& copies = copies_of(build, made);
    const std::string name = std::to_string(made.mounts.size());
    TreeCopy files{mount.from.tree, mount.source, name, build.stop};
    auto job = [files, copies] { files.write_to(copies->path()); };
    co_await build.engine().pool.run_on_thread("build mount", std::move(job));
    made.mounts.push_back(mount_object(mount, "bind", copies->path() + "/" + name));
}

async::Task<void> add_secret(Build& build, const PlannedMount& mount, StepMounts& made) {
    std::optional<std::string> content;
    if (build.request.secrets) content = co_await build.request.secrets(mount.what.id);
    if (!content && mount.what.required)
        throw Error(ErrorKind::invalid, "secret {}: not found", mount.what.id);
    if (!content) co_return;
    if (content->size() > kMaxSecret)
        throw Error(ErrorKind::invalid, "secret {}: it is larger than {} bytes", mount.what.id,
                    kMaxSecret);
    if (!mount.what.variable.empty())
        made.environment.push_back(mount.what.variable + "=" + *content);
    if (mount.what.target.empty()) co_return;
    if (!made.secrets)
        made.secrets = std::make_shared<const SecretFiles>(build.engine().settings.exec_root);
    made.mounts.push_back(
        mount_object(mount, "bind", made.secrets->add(mount.what, *content, made.mounts.size())));
}

/// The first agent is the step's own; others have the place that the Dockerfile names.
async::Task<void> add_agent(Build& build, const PlannedMount& mount, StepMounts& made) {
    const build::RunMount& what = mount.what;
    bool there = false;
    if (build.request.agents.has) there = co_await build.request.agents.has(what.id);
    if (!there && what.required)
        throw Error(ErrorKind::invalid, "no SSH key \"{}\" forwarded from the client", what.id);
    if (!there) co_return;
    const AgentSocket::Access access{what.uid.value_or(0), what.gid.value_or(0),
                                     what.mode.value_or(0600)};
    auto socket =
        std::make_shared<const AgentSocket>(build.engine(), build.request.agents, what.id, access);
    model::MountObject object = mount_object(mount, "bind", socket->path());
    if (object.target.empty())
        object.target = fmt::format("/run/buildkit/ssh_agent.{}", made.agents.size());
    if (made.agents.empty()) made.environment.push_back("SSH_AUTH_SOCK=" + object.target);
    made.mounts.push_back(std::move(object));
    made.agents.push_back(std::move(socket));
}

/// What it begins with tells caches of one id apart, as in BuildKit.
CacheKey cache_key(const PlannedMount& mount) {
    const build::RunMount& what = mount.what;
    CacheKey key{what.id, what.source};
    if (mount.from.image)
        key.base += " " + mount.from.image->id_text();
    else if (what.mode || what.uid || what.gid)
        key.base += fmt::format(" {:o} {}:{}", what.mode.value_or(0755), what.uid.value_or(0),
                                what.gid.value_or(0));
    return key;
}

/// Into the directory, which is empty; a source that is no directory is put into it.
void fill_cache(const PlannedMount& mount, const std::string& files, const std::stop_token& stop) {
    if (mount.from.tree) {
        const auto found = mount.from.tree->find(mount.source);
        const bool directory = S_ISDIR(found->status.st_mode);
        TreeCopy{mount.from.tree, mount.source, directory ? "" : linux_os::base_of(mount.source),
                 stop}
            .write_to(files);
        return;
    }
    const build::RunMount& what = mount.what;
    if (::chown(files.c_str(), what.uid.value_or(0), what.gid.value_or(0)) < 0 ||
        ::chmod(files.c_str(), what.mode.value_or(0755)) < 0)
        throw_errno("the owner and mode of the build cache {}", what.id);
}

/// Tries again while another step has it locked, until the client goes.
async::Task<std::shared_ptr<const CacheUse>> take_cache(Build& build, const PlannedMount& mount) {
    async::Event stopped;
    const std::stop_callback on_stop(build.stop, [&stopped] { stopped.set(); });
    for (;;) {
        auto job = [builds = build.state.directory(), mount, stop = build.stop] {
            const auto fill = [&](const std::string& files) { fill_cache(mount, files, stop); };
            return try_cache(builds, cache_key(mount), mount.what.sharing, fill);
        };
        auto use = co_await build.engine().pool.run_on_thread("build cache", std::move(job));
        build.check_stop();
        if (use) co_return std::make_shared<const CacheUse>(*std::move(use));
        co_await stopped.wait_until(std::chrono::steady_clock::now() + kCacheRetry);
    }
}

/// All in one order, lest two steps wait for each other; one that is mounted twice is taken once.
async::Task<void> take_caches(Build& build, const std::vector<PlannedMount>& planned,
                              StepMounts& made) {
    std::map<std::string, const PlannedMount*> wanted;
    for (const PlannedMount& mount : planned)
        if (mount.what.type == RunMountType::cache)
            wanted.emplace(text_of(cache_key(mount)), &mount);
    for (const auto& [text, mount] : wanted) made.caches[text] = co_await take_cache(build, *mount);
}

void add_tmpfs(const PlannedMount& mount, StepMounts& made) {
    model::MountObject object = mount_object(mount, "tmpfs", "");
    object.tmpfs_size = mount.what.size;
    object.tmpfs_options = {{"exec"}};
    made.mounts.push_back(std::move(object));
}

}  // namespace

async::Task<std::vector<PlannedMount>> plan_mounts(Build& build, const StageRun& stage,
                                                   std::vector<build::Pairs> mounts) {
    const oci::ContainerDefaults& config = stage.image.config.config;
    const build::Lookup lookup = build.arguments.lookup(config.env);
    std::vector<PlannedMount> planned;
    for (const build::Pairs& keys : mounts) {
        PlannedMount mount;
        mount.what = build::parse_run_mount(keys, lookup, build.file.escape, config.working_dir);
        mount.key = "--mount=" + mount.what.text;
        if (mount.what.type == RunMountType::bind || !mount.what.from.empty())
            co_await find_files(build, mount);
        planned.push_back(std::move(mount));
    }
    co_return planned;
}

async::Task<StepMounts> make_mounts(Build& build, std::vector<PlannedMount> planned) {
    StepMounts made;
    co_await take_caches(build, planned, made);
    for (const PlannedMount& mount : planned) {
        if (mount.what.type == RunMountType::cache)
            made.mounts.push_back(
                mount_object(mount, "bind", made.caches.at(text_of(cache_key(mount)))->files));
        if (mount.what.type == RunMountType::bind) co_await add_bind(build, mount, made);
        if (mount.what.type == RunMountType::secret) co_await add_secret(build, mount, made);
        if (mount.what.type == RunMountType::ssh) co_await add_agent(build, mount, made);
        if (mount.what.type == RunMountType::tmpfs) add_tmpfs(mount, made);
    }
    co_return made;
}

std::string add_program(Build& build, const build::Heredoc& program, StepMounts& made) {
    model::MountObject object;
    object.type = "bind";
    object.source = fmt::format("{}/{}", copies_of(build, made)->path(), made.mounts.size());
    object.target = "/dev/pipes/" + program.name;  // as in BuildKit
    object.read_only = true;
    const UniqueFd file = open_file(object.source, O_WRONLY | O_CREAT | O_EXCL, 0755);
    write_all(file, program.content);
    if (::fchmod(file.get(), 0755) < 0) throw_errno("the mode of {}", object.source);
    made.mounts.push_back(object);
    return object.target;
}

}  // namespace berth::engine
