// COPY and ADD as steps: where the files come from, who owns them, and the layer they make.
#include <fcntl.h>
#include <fmt/format.h>

#include <charconv>

#include "archive/digester.h"
#include "base/file.h"
#include "build/words.h"
#include "engine/build/build_state.h"
#include "engine/build/copy_plan.h"
#include "engine/build/download.h"
#include "engine/build/run_mounts.h"
#include "engine/build/scratch.h"
#include "engine/image/state.h"
#include "engine/model/user.h"
#include "storage/entry_file.h"

namespace berth::engine {

namespace {

constexpr std::size_t kMaxOwnersFile = 4U << 20;

void check_flags(const Build& build, const build::Copy& copy) {
    if (build.request.dialect == BuildDialect::buildkit) return;
    for (const std::string& flag : copy.flags) {
        const std::string name = flag.substr(0, flag.find('='));
        if (name != "--from" && name != "--chown") refuse_without_buildkit(name + " option");
    }
    if (!copy.heredocs.empty()) refuse_without_buildkit("heredoc syntax");
}

build::Copy expanded(build::Copy copy, const build::Lookup& lookup, char escape) {
    const auto expand = [&](std::string& text) { text = build::expand(text, lookup, escape); };
    for (std::string& source : copy.sources)
        if (!source.starts_with("<<")) expand(source);
    for (std::string& pattern : copy.excludes) expand(pattern);
    for (std::string* text : {&copy.destination, &copy.owner, &copy.mode, &copy.from})
        expand(*text);
    for (build::Heredoc& heredoc : copy.heredocs)
        if (heredoc.expand)
            heredoc.content = build::expand_keeping_quotes(heredoc.content, lookup, escape);
    return copy;
}

/// Absolute, in the working directory, with "/" at its end when a directory is meant.
std::string destination_of(const build::Copy& copy, const oci::ContainerDefaults& config) {
    const std::string& text = copy.destination;
    std::string path = build::path_in(config.working_dir, text);
    const bool directory =
        text.empty() || text == "." || text.ends_with('/') || text.ends_with("/.") || path == "/";
    if (directory && !path.ends_with('/')) path += '/';
    return path;
}

std::optional<mode_t> mode_from(const std::string& text) {
    if (text.empty()) return std::nullopt;
    unsigned mode = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, mode, 8);
    if (error != std::errc{} || stop != end || mode > 07777)
        throw Error(ErrorKind::invalid,
                    "invalid chmod parameter: '{}'. it should be octal string "
                    "and between 0 and 07777",
                    text);
    return mode;
}

/// A name alone is its own group's, too.
storage::Owner owner_from(const std::string& text, const storage::FileTree& target) {
    const auto read = [&](const char* path) {
        return target.read(path, kMaxOwnersFile).value_or("");
    };
    const std::string whole = text.find(':') == std::string::npos ? text + ":" + text : text;
    const model::ProcessUser user =
        model::resolve_user(whole, {read("etc/passwd"), read("etc/group")}, {});
    return {user.user.uid, user.user.gid};
}

bool is_url(const std::string& source) {
    return source.starts_with("http://") || source.starts_with("https://");
}

bool is_inline(const std::string& source) { return source.starts_with("<<"); }

/// Everything a worker needs: values, and trees that it reads.
struct CopyWork final {
    build::Copy copy;
    CopyRequest request;
    SharedTree files;  // of the context, or of --from
    std::string builds;
    std::shared_ptr<const image::RegistrySettings> registry;
    std::stop_token stop;
    std::shared_ptr<const ScratchDirectory> scratch{};  // of downloads and inline files
    CopyPlan plan{};
    Digest digest = archive::sha256("");

    void operator()();

  private:
    SharedTree tree_of_scratch() const;
    void add_source(const std::string& source);
    const std::string& scratch_path();
};

const std::string& CopyWork::scratch_path() {
    if (!scratch) scratch = std::make_shared<const ScratchDirectory>(builds);
    return scratch->path();
}

SharedTree CopyWork::tree_of_scratch() const {
    std::vector<UniqueFd> directory;
    directory.push_back(open_file(scratch->path(), O_PATH | O_DIRECTORY));
    return std::make_shared<const storage::FileTree>(std::move(directory));
}

void CopyWork::add_source(const std::string& source) {
    if (copy.adds && is_url(source)) {
        const std::string name = download(source, scratch_path(), registry, stop);
        request.sources.push_back({tree_of_scratch(), name, true});
    } else if (is_inline(source)) {
        const std::vector<build::Heredoc> named = build::heredocs_of(source);
        for (const build::Heredoc& heredoc : copy.heredocs) {
            if (named.empty() || heredoc.name != named.front().name) continue;
            const UniqueFd file =
                open_file(scratch_path() + "/" + heredoc.name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
            write_all(file, heredoc.content);
            request.sources.push_back({tree_of_scratch(), heredoc.name, true});
            break;
        }
    } else {
        request.sources.push_back({files, source, false});
    }
}

void CopyWork::operator()() {
    try {
        for (const std::string& source : copy.sources) add_source(source);
        // Those of a context are root's already.
        if (!copy.owner.empty()) request.owner = owner_from(copy.owner, *request.target);
        request.mode = mode_from(copy.mode);
        plan = plan_copy(request);
        digest = digest_of_copy(request, plan, stop);
    } catch (Error& error) {
        if (error.kind() == ErrorKind::cancelled) throw;
        throw error.while_("{} failed", request.instruction);
    }
}

async::Task<SharedTree> files_for(Build& build, const std::string& from) {
    if (from.empty()) co_return files_of_context(build);
    const StageImage source = co_await source_image(build, from);
    co_return files_of(build, source);
}

}  // namespace

async::Task<StageImage> source_image(Build& build, std::string from) {
    if (const auto stage = build::find_stage(build.file, from, build.step.stage);
        stage && build.finished[*stage])
        co_return *build.finished[*stage];
    std::optional<Error> failure;
    try {
        co_return co_await find_image(build, from, build.request.platform);
    } catch (...) {
        failure = async::to_error(std::current_exception());
    }
    throw failure->while_("invalid from flag value {}", from);
}

async::Task<void> copy_files(Build& build, StageRun& stage, build::Copy copy) {
    check_flags(build, copy);
    const oci::ContainerDefaults& config = stage.image.config.config;
    copy = expanded(std::move(copy), build.arguments.lookup(config.env), build.file.escape);
    const std::string name = copy.adds ? "ADD" : "COPY";
    SharedTree files = co_await files_for(build, copy.from);
    CopyWork work{.copy = copy,
                  .request = {},
                  .files = std::move(files),
                  .builds = build.state.directory(),
                  .registry = build.images().registry,
                  .stop = build.stop};
    work.request.instruction = name;
    work.request.destination = destination_of(copy, config);
    work.request.target = files_of(build, stage.image);
    work.request.unpacks = copy.adds;
    work.request.keep_parents = copy.keep_parents;
    work.request.excludes = copy.excludes;
    const auto shared = std::make_shared<CopyWork>(std::move(work));
    auto job = [shared] { (*shared)(); };
    co_await build.engine().pool.run_on_thread("copy", std::move(job));

    StepResult step{{config, stage.image.config.author, stage.command_set}, {}, {}};
    step.command = build::shell_of(config);
    step.command.push_back(fmt::format(
        "#(nop) {} {}{}:{} in {} ", name, copy.owner.empty() ? "" : "--chown=" + copy.owner,
        shared->plan.kind, shared->digest.hex(), shared->request.destination));
    if (co_await use_cache(build, stage, step)) co_return;
    step.write_layer = [shared](archive::Sink& sink) {
        write_copy(shared->request, shared->plan, sink, shared->stop);
    };
    co_await commit_step(build, stage, std::move(step));
}

async::Task<void> make_working_directory(Build& build, StageRun& stage, StepResult step) {
    if (co_await use_cache(build, stage, step)) co_return;
    CopyRequest request;
    request.target = files_of(build, stage.image);
    const auto missing = missing_directories(*request.target, step.config.config.working_dir);
    if (!missing.empty()) {
        CopyPlan plan;
        plan.new_directories = missing;
        step.write_layer = [request, plan, stop = build.stop](archive::Sink& sink) {
            write_copy(request, plan, sink, stop);
        };
    }
    co_await commit_step(build, stage, std::move(step));
}

}  // namespace berth::engine
