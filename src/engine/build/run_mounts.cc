#include "engine/build/run_mounts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "archive/produced_source.h"
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
    if (mount.what.from.empty()) {
        mount.tree = files_of_context(build);
    } else {
        mount.from = co_await source_image(build, mount.what.from);
        mount.tree = files_of(build, *mount.from);
    }
    const std::string wanted = storage::clean_entry_path(linux_os::clean_path(mount.what.source));
    mount.source = mount.tree->resolve(wanted);
    if (!mount.tree->find(mount.source))
        throw Error(ErrorKind::invalid, "failed to compute cache key: \"/{}\": not found", wanted);
    if (mount.from) {
        mount.key += " " + mount.from->id_text();
        co_return;
    }
    TreeCopy files{mount.tree, mount.source, "x", build.stop};
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

async::Task<void> add_bind(Build& build, const PlannedMount& mount, StepMounts& made) {
    if (mount.what.read_only && mount.from && mount.from->id) {
        model::MountObject object = mount_object(mount, "image", mount.from->id_text());
        object.subpath = mount.source;
        made.mounts.push_back(std::move(object));
        co_return;
    }
    if (mount.what.read_only && !mount.from) {
        const std::string context = linux_os::link_target(open_file(
            fmt::format("/proc/self/fd/{}", build.context->directory.get()), O_PATH | O_NOFOLLOW));
        made.mounts.push_back(mount_object(mount, "bind", context + "/" + mount.source));
        co_return;
    }
    if (!made.copies)
        made.copies = std::make_shared<const ScratchDirectory>(build.state.directory());
    const std::string name = std::to_string(made.mounts.size());
    TreeCopy files{mount.tree, mount.source, name, build.stop};
    auto job = [files, copies = made.copies] { files.write_to(copies->path()); };
    co_await build.engine().pool.run_on_thread("build mount", std::move(job));
    made.mounts.push_back(mount_object(mount, "bind", made.copies->path() + "/" + name));
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

/// What it begins with tells caches of one id apart, as in BuildKit.
CacheKey cache_key(const PlannedMount& mount) {
    const build::RunMount& what = mount.what;
    CacheKey key{what.id, what.source};
    if (mount.from)
        key.base += " " + mount.from->id_text();
    else if (what.mode || what.uid || what.gid)
        key.base += fmt::format(" {:o} {}:{}", what.mode.value_or(0755), what.uid.value_or(0),
                                what.gid.value_or(0));
    return key;
}

/// Into the directory, which is empty; a source that is no directory is put into it.
void fill_cache(const PlannedMount& mount, const std::string& files, const std::stop_token& stop) {
    if (mount.from) {
        const auto found = mount.tree->find(mount.source);
        const bool directory = S_ISDIR(found->status.st_mode);
        TreeCopy{mount.tree, mount.source, directory ? "" : linux_os::base_of(mount.source), stop}
            .write_to(files);
        return;
    }
    const build::RunMount& what = mount.what;
    if (::chown(files.c_str(), what.uid.value_or(0), what.gid.value_or(0)) < 0 ||
        ::chmod(files.c_str(), what.mode.value_or(0755)) < 0)
        throw_errno("the owner and mode of the build cache {}", what.id);
}

/// All in one order, lest two steps wait for each other; one that is mounted twice is taken once.
async::Task<void> take_caches(Build& build, const std::vector<PlannedMount>& planned,
                              StepMounts& made) {
    std::map<std::string, const PlannedMount*> wanted;
    for (const PlannedMount& mount : planned)
        if (mount.what.type == RunMountType::cache)
            wanted.emplace(text_of(cache_key(mount)), &mount);
    for (const auto& [text, mount] : wanted) {
        auto job = [builds = build.state.directory(), mount = *mount, stop = build.stop] {
            const auto fill = [&](const std::string& files) { fill_cache(mount, files, stop); };
            return std::make_shared<const CacheUse>(
                take_cache(builds, cache_key(mount), mount.what.sharing, fill));
        };
        made.caches[text] =
            co_await build.engine().pool.run_on_thread("build cache", std::move(job));
        build.check_stop();
    }
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
        if (mount.what.type == RunMountType::tmpfs) add_tmpfs(mount, made);
    }
    co_return made;
}

}  // namespace berth::engine
