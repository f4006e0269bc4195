// RUN: a container of the stage's image, whose changes become the step's layer.
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "async/fd_wait.h"
#include "base/frames.h"
#include "base/log.h"
#include "base/text.h"
#include "build/words.h"
#include "engine/build/build_state.h"
#include "engine/build/run_mounts.h"
#include "engine/containers/changes.h"
#include "engine/containers/state.h"
#include "image/platform.h"
#include "linux/socket_pair.h"

namespace berth::engine {

namespace {

/// Kills the step's container when the client goes. The container may not run yet or no more.
async::Task<void> kill(Containers& containers, std::string id) {
    try {
        co_await containers.kill(id, "KILL");
    } catch (const Error& error) {
        log::debug("cancelled build: {}", error.message());
    }
}

std::vector<std::string> with_arguments(const std::map<std::string, std::string>& arguments,
                                        std::vector<std::string> words) {
    if (arguments.empty()) return words;
    std::vector<std::string> all{fmt::format("|{}", arguments.size())};
    for (const auto& [name, value] : arguments) all.push_back(name + "=" + value);
    all.insert(all.end(), words.begin(), words.end());
    return all;
}

std::vector<std::string> with_mounts(const std::vector<PlannedMount>& mounts,
                                     const std::vector<std::string>& words) {
    std::vector<std::string> all;
    for (const PlannedMount& mount : mounts) all.push_back(mount.key);
    all.insert(all.end(), words.begin(), words.end());
    return all;
}

/// The instruction is a heredoc and nothing else.
bool is_script(const build::Run& run) {
    const std::string& text = run.command.words.front();
    return run.heredocs.size() == 1 && trimmed(text).starts_with("<<") &&
           build::raw_words(text, '\\').size() == 1;
}

/// A heredoc alone is the script; one of a command stays where the shell finds it.
build::Command with_heredocs(const build::Run& run) {
    build::Command command = run.command;
    if (run.heredocs.empty()) return command;
    std::string& text = command.words.front();
    if (is_script(run)) {
        text = run.heredocs.front().content;
        return command;
    }
    for (const build::Heredoc& heredoc : run.heredocs)
        text += "\n" + heredoc.content + heredoc.name;
    return command;
}

model::CreateRequest container_of(const Build& build, const StageRun& stage,
                                  std::vector<std::string> words, const build::Run& run) {
    model::CreateRequest request;
    const oci::ContainerDefaults& defaults = stage.image.config.config;
    request.config = model::container_config_from(oci::to_json(defaults));
    request.config.image = stage.image.id_text();
    // The classic builder mounts the image's volumes: what RUN writes there is lost.
    if (build.request.dialect == BuildDialect::buildkit) request.config.volumes.clear();
    request.config.cmd = std::move(words);
    request.config.entrypoint = std::vector<std::string>{""};
    request.config.healthcheck = model::Healthcheck{.test = {"NONE"}};
    request.config.attach_stdout = request.config.attach_stderr = true;
    for (const auto& [name, value] : build.arguments.visible(defaults.env))
        request.config.env.push_back(name + "=" + value);
    request.host_config = build.request.host;
    request.host_config.log_config.type = "none";
    if (!run.network.empty() && run.network != "default")
        request.host_config.network_mode = run.network;
    return request;
}

/// Up to the end of the container's output.
async::Task<void> pass_output(Build& build, UniqueFd from) {
    FrameSplitter splitter([&build](int stream, std::string_view bytes) {
        build.log.output(build.step, stream == 2 ? BuildOutput::error : BuildOutput::standard,
                         bytes);
    });
    std::string buffer(32U << 10, '\0');
    for (;;) {
        const auto bytes = co_await async::receive_some(from, buffer);
        if (!bytes || bytes->empty()) co_return;
        splitter.feed(*bytes);
    }
}

/// Says what a program of another kind of machine needs, where that is why it did not start.
Error explain(const Error& failure, const oci::Platform& platform) {
    if (failure.message().find("exec format error") == std::string::npos ||
        image::is_compatible(image::host_platform(), platform))
        return failure;
    return Error::with_text(
        failure.kind(),
        fmt::format("{}: this machine is {} and has no emulator for {} (binfmt_misc)",
                    failure.message(), image::host_platform().str(), platform.str()));
}

async::Task<void> start(Build& build, const std::string& id, const oci::Platform& platform) {
    std::optional<Error> failure;
    try {
        co_await build.state.deps.containers.start(id, "");
    } catch (...) {
        failure = async::to_error(std::current_exception());
    }
    if (failure) throw explain(*failure, platform);
}

/// Starts the container and waits for its end.
async::Task<WaitOutcome> run_to_end(Build& build, const std::string& id,
                                    const oci::Platform& platform) {
    Containers& containers = build.state.deps.containers;
    auto [ours, theirs] = linux_os::stream_socket_pair(linux_os::Blocking::no);
    AttachRequest streams;
    streams.stream = streams.stdout_ = streams.stderr_ = true;
    co_await containers.attach(id, std::move(streams), std::move(theirs), "");
    Wait wait = containers.wait(id, WaitCondition::next_exit);
    const auto cancel = [&] { build.engine().tasks.spawn("cancel a build", kill(containers, id)); };
    co_await start(build, id, platform);
    const std::stop_callback on_stop(build.stop, cancel);
    co_await pass_output(build, std::move(ours));
    co_return co_await wait.outcome();
}

/// The container's changes as the step's layer; none when it changed nothing.
async::Task<void> commit_changes(Build& build, StageRun& stage, StepResult step,
                                 const std::string& id) {
    ContainerState& containers = build.state.deps.containers.state();
    const ContainerPtr container = containers.find(id);
    const ChangesWork files = changes_work(containers, *container);
    auto find = [files] { return files(); };
    const auto changes = std::make_shared<std::vector<storage::Change>>(
        co_await build.engine().pool.run_on_thread("diff", std::move(find)));
    if (!changes->empty())
        step.write_layer = [files, changes, stop = build.stop](archive::Sink& sink) {
            storage::write_changes(files.rootfs(), *changes, sink, stop);
        };
    co_await commit_step(build, stage, std::move(step));
}

void check_flags(const Build& build, const build::Run& run) {
    if (build.request.dialect == BuildDialect::classic) {
        if (!run.flags.empty()) {
            const std::string& flag = run.flags.front();
            refuse_without_buildkit(flag.substr(0, flag.find('=')) + " option");
        }
        if (!run.heredocs.empty()) refuse_without_buildkit("heredoc syntax");
    }
    if (run.security == "insecure")
        throw Error(ErrorKind::invalid, "security.insecure is not allowed");
}

}  // namespace

async::Task<void> run_command(Build& build, StageRun& stage, build::Run run) {
    check_flags(build, run);
    if (!stage.image.id)
        throw Error(ErrorKind::invalid, "RUN needs an image with files, and scratch has none");
    const oci::ContainerDefaults& config = stage.image.config.config;
    std::vector<std::string> words = build::words_of_command(with_heredocs(run), config);
    if (words.empty()) throw Error(ErrorKind::invalid, "RUN requires at least one argument");
    StepResult step{{config, stage.image.config.author, stage.command_set}, {}, {}};
    std::vector<PlannedMount> planned = co_await plan_mounts(build, stage, run.mounts);
    step.command =
        with_arguments(build.arguments.recorded(config.env), with_mounts(planned, words));
    if (co_await use_cache(build, stage, step)) co_return;

    StepMounts mounts = co_await make_mounts(build, std::move(planned));
    if (is_script(run) && words.back().starts_with("#!"))
        words = {add_program(build, run.heredocs.front(), mounts)};
    const std::string shown = fmt::format("{}", fmt::join(words, " "));
    model::CreateRequest request = container_of(build, stage, std::move(words), run);
    request.host_config.mounts = mounts.mounts;
    CreateOptions options;
    options.platform = stage.image.config.platform.str();
    options.secret_variables = mounts.environment;
    if (build.request.dialect == BuildDialect::buildkit)
        options.made_for = model::MadeFor::build_step;
    ContainerCreated created =
        co_await build.state.deps.containers.create(std::move(request), std::move(options));
    const std::string id = created.id;
    stage.containers.push_back(id);
    for (const std::string& warning : created.warnings)
        build.log.note(" ---> [Warning] " + warning);
    build.log.running(build.step, id);
    const WaitOutcome outcome = co_await run_to_end(build, id, stage.image.config.platform);
    build.check_stop();
    if (!outcome.error.empty()) throw Error(ErrorKind::invalid, "{}", outcome.error);
    if (outcome.exit_code == 0) {
        co_await commit_changes(build, stage, std::move(step), id);
        co_return;
    }
    build.failure = CommandFailure{
        outcome.exit_code,
        fmt::format("The command '{}' returned a non-zero code: {}", shown, outcome.exit_code)};
}

}  // namespace berth::engine
