// COPY and ADD as steps: where the files come from, who owns them, and the layer they make.
#include <fcntl.h>
#include <fmt/format.h>

#include "archive/digester.h"
#include "base/file.h"
#include "base/text.h"
#include "build/words.h"
#include "engine/build/build_state.h"
#include "engine/build/copy_plan.h"
#include "engine/build/download.h"
#include "engine/build/git_access.h"
#include "engine/build/named_context.h"
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
    for (std::string* text :
         {&copy.destination, &copy.owner, &copy.mode, &copy.from, &copy.checksum})
        expand(*text);
    for (build::Heredoc& heredoc : copy.heredocs)
        if (heredoc.expand)
            // The "escape" directive does not reach in here.
            heredoc.content = build::expand_keeping_quotes(heredoc.content, lookup);
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

/// The classic builder takes a name alone for its group's, too, BuildKit a number only.
storage::Owner owner_from(const std::string& text, const storage::FileTree& target,
                          BuildDialect dialect) {
    const auto read = [&](const char* path) {
        return target.read(path, kMaxOwnersFile).value_or("");
    };
    const bool is_number = text.find_first_not_of("0123456789") == std::string::npos;
    std::string whole = text;
    if (text.find(':') == std::string::npos && (is_number || dialect == BuildDialect::classic))
        whole += ":" + text;
    const model::ProcessUser user =
        model::resolve_user(whole, {read("etc/passwd"), read("etc/group")}, {});
    return {user.user.uid, user.user.gid};
}

bool is_inline(const std::string& source) { return source.starts_with("<<"); }

SharedTree tree_in(const std::string& path) {
    std::vector<UniqueFd> directory;
    directory.push_back(open_file(path, O_PATH | O_DIRECTORY));
    return std::make_shared<const storage::FileTree>(std::move(directory));
}

std::string digest_of_file(const std::string& path) {
    const UniqueFd file = open_file(path, O_RDONLY);
    archive::FdSource source(file);
    archive::DigestSource digested(source);
    archive::drain(digested);
    return digested.digest().str();
}

/// Everything a worker needs: values, and trees that it reads.
struct CopyWork final {
    build::Copy copy;
    CopyRequest request;
    SharedTree files;  // of the context, or of --from
    std::string builds;
    std::shared_ptr<const image::RegistrySettings> registry;
    std::stop_token stop;
    std::map<std::string, HeldGitAccess> repositories{};  // sources that ADD checks out
    std::shared_ptr<const ScratchDirectory> scratch{};    // of what is fetched and inline files
    CopyPlan plan{};
    Digest digest = archive::sha256("");

    void operator()();

  private:
    void add_source(const std::string& source);
    void add_download(const std::string& url);
    void add_repository(const std::string& url, const HeldGitAccess& held);
    const std::string& scratch_path();
};

const std::string& CopyWork::scratch_path() {
    if (!scratch) scratch = std::make_shared<const ScratchDirectory>(builds);
    return scratch->path();
}

void CopyWork::add_download(const std::string& url) {
    const std::string fallback = request.destination.ends_with('/') ? "" : "download";
    const std::string name = download(url, scratch_path(), fallback, registry, stop);
    const std::string path = scratch_path() + "/" + name;
    const std::string found = copy.checksum.empty() ? "" : digest_of_file(path);
    if (found != copy.checksum)
        throw Error(ErrorKind::invalid, "digest mismatch for {}: {} (expected: {})", url, found,
                    copy.checksum);
    request.sources.push_back({tree_in(scratch_path()), name, true});
}

void CopyWork::add_repository(const std::string& url, const HeldGitAccess& held) {
    GitCheckout checkout{*build::parse_git_source(url), held.access, registry, stop,
                         copy.keep_git_directory};
    if (!copy.checksum.empty()) checkout.source.checksum = copy.checksum;
    const std::string directory = fmt::format("{}/git-{}", scratch_path(), request.sources.size());
    make_directories(directory);
    check_out(checkout, directory);
    const std::string part = checkout.source.directory;
    request.sources.push_back({tree_in(directory), part.empty() ? "." : part, false});
}

void CopyWork::add_source(const std::string& source) {
    if (const auto held = repositories.find(source); held != repositories.end()) {
        add_repository(source, held->second);
    } else if (copy.adds && is_web_url(source)) {
        add_download(source);
    } else if (is_inline(source)) {
        const std::vector<build::Heredoc> named = build::heredocs_of(source);
        for (const build::Heredoc& heredoc : copy.heredocs) {
            if (named.empty() || heredoc.name != named.front().name) continue;
            // It becomes a file's name, here too: "<<../../x" must lead nowhere.
            if (heredoc.name.find('/') != std::string::npos || heredoc.name.starts_with(".."))
                throw Error(ErrorKind::invalid, "a heredoc cannot be named {}", heredoc.name);
            const UniqueFd file =
                open_file(scratch_path() + "/" + heredoc.name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
            write_all(file, heredoc.content);
            request.sources.push_back({tree_in(scratch_path()), heredoc.name, true});
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
        if (!copy.owner.empty())
            request.owner = owner_from(copy.owner, *request.target, request.dialect);
        if (!copy.mode.empty()) request.mode = build::ModeChange(copy.mode);
        plan = plan_copy(request);
        digest = digest_of_copy(request, plan, stop);
    } catch (Error& error) {
        if (error.kind() == ErrorKind::cancelled || request.dialect == BuildDialect::buildkit)
            throw;
        throw error.while_("{} failed", request.instruction);
    }
}

/// Repositories among the sources of an ADD, with what the client gives for them.
async::Task<void> find_repositories(Build& build, CopyWork& work) {
    if (!work.copy.adds || build.request.dialect == BuildDialect::classic) co_return;
    for (const std::string& text : work.copy.sources) {
        auto source = build::parse_git_source(text);
        if (!source) continue;
        work.repositories[text] = co_await git_access(build.engine(), *std::move(source),
                                                      build.request.secrets, build.request.agents);
    }
}

void check_checksum(const build::Copy& copy, const CopyWork& work) {
    if (copy.checksum.empty()) return;
    if (copy.sources.size() != 1)
        throw Error(ErrorKind::invalid, "checksum can't be specified for multiple sources");
    const std::string& source = copy.sources.front();
    const bool repository = work.repositories.contains(source);
    if (!repository && !is_web_url(source))
        throw Error(ErrorKind::invalid,
                    "checksum can't be specified for non-HTTP(S) and non-Git sources");
    if (!repository) (void)Digest::parse(copy.checksum);
}

}  // namespace

async::Task<void> copy_files(Build& build, StageRun& stage, build::Copy copy) {
    check_flags(build, copy);
    const oci::ContainerDefaults& config = stage.image.config.config;
    copy = expanded(std::move(copy), build.arguments.lookup(config.env), build.file.escape);
    const std::string name = copy.adds ? "ADD" : "COPY";
    StepSource source = co_await source_named(build, copy.from);
    CopyWork work{.copy = copy,
                  .request = {},
                  .files = std::move(source.tree),
                  .builds = build.state.directory(),
                  .registry = build.images().registry,
                  .stop = build.stop};
    work.request.instruction = name;
    work.request.destination = destination_of(copy, config);
    work.request.target = files_of(build, stage.image);
    work.request.unpacks = copy.adds;
    work.request.keep_parents = copy.keep_parents;
    work.request.link = copy.link;
    work.request.dialect = build.request.dialect;
    work.request.excludes = copy.excludes;
    co_await find_repositories(build, work);
    check_checksum(copy, work);
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
        // BuildKit gives it to the user of the steps that follow.
        const std::string& user = step.config.config.user;
        if (build.request.dialect == BuildDialect::buildkit && !user.empty())
            request.owner = owner_from(user, *request.target, BuildDialect::buildkit);
        step.write_layer = [request, plan, stop = build.stop](archive::Sink& sink) {
            write_copy(request, plan, sink, stop);
        };
    }
    co_await commit_step(build, stage, std::move(step));
}

}  // namespace berth::engine
