#include <fcntl.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "build/words.h"
#include "engine/build/agent_socket.h"
#include "engine/build/build_state.h"
#include "engine/build/cache_directory.h"
#include "engine/build/named_context.h"
#include "engine/image/state.h"
#include "image/platform.h"
#include "storage/entry_file.h"

namespace berth::engine {

namespace {

using build::Instruction;

/// Stages that the target needs, itself included. One that a named context replaces needs none.
std::set<std::size_t> needed_stages(const Build& build, std::size_t target) {
    const build::Dockerfile& file = build.file;
    std::set<std::size_t> needed{target};
    for (std::size_t i = target + 1; i-- > 0;) {
        if (!needed.contains(i) || find_context(build, file.stages[i].from.name)) continue;
        const auto need = [&](const std::string& name) {
            if (const auto stage = build::find_stage(file, name, i)) needed.insert(*stage);
        };
        // A name with variables may be any stage.
        if (file.stages[i].from.image.find('$') != std::string::npos)
            for (std::size_t other = 0; other < i; ++other) needed.insert(other);
        need(file.stages[i].from.image);
        const auto need_sources = [&](const Instruction& instruction) {
            if (const auto* copy = std::get_if<build::Copy>(&instruction.what)) need(copy->from);
            if (const auto* run = std::get_if<build::Run>(&instruction.what))
                for (const build::Pairs& mount : run->mounts)
                    for (const auto& [key, value] : mount)
                        if (key == "from") need(value);
        };
        for (const Instruction& instruction : file.stages[i].instructions) {
            need_sources(instruction);
            if (const auto* trigger = std::get_if<build::OnBuild>(&instruction.what))
                need_sources(build::parse_trigger(trigger->instruction));
        }
    }
    return needed;
}

/// --label: instructions at the end of the target, whose text nothing is expanded in.
void add_labels(build::Stage& stage, const std::map<std::string, std::string>& labels) {
    for (const auto& [name, value] : labels)
        stage.instructions.push_back({.name = "LABEL",
                                      .text = fmt::format("LABEL {}={}", name, value),
                                      .what = build::Label{{{name, value}}, true}});
}

void add_platform_arguments(build::Arguments& arguments, const std::string& wanted) {
    const auto add = [&](const std::string& prefix, const oci::Platform& platform) {
        arguments.add_automatic(prefix + "PLATFORM", platform.str());
        arguments.add_automatic(prefix + "OS", platform.os);
        arguments.add_automatic(prefix + "ARCH", platform.architecture);
        arguments.add_automatic(prefix + "VARIANT", platform.variant);
    };
    add("TARGET", image::parse_platform(wanted));
    add("BUILD", image::host_platform());
}

/// TARGETSTAGE.
std::string name_of_target(const BuildRequest& request, const build::Dockerfile& file) {
    if (!request.target.empty()) return request.target;
    const std::string& name = file.stages.back().from.name;
    return name.empty() ? "default" : name;
}

build::Arguments arguments_of(const BuildRequest& request) {
    if (request.dialect == BuildDialect::classic) return build::Arguments(request.arguments);
    return build::Arguments(build::Arguments::with_both_cases(request.arguments));
}

void begin_step(Build& build, const std::string& text) {
    ++build.step.number;
    build.step.text = text;
    build.log.begin(build.step);
}

build::StageConfig config_of(const StageRun& stage) {
    return {stage.image.config.config, stage.image.config.author, stage.command_set};
}

/// The shell's "nothing" with the instruction behind it: one word more for most, since the first
/// builder did so.
std::vector<std::string> comment_command(const oci::ContainerDefaults& config,
                                         const std::string& comment) {
    std::vector<std::string> command = build::shell_of(config);
    command.emplace_back("#(nop) ");
    command.push_back(comment);
    return command;
}

async::Task<void> commit_comment(Build& build, StageRun& stage, build::StageConfig config,
                                 const std::string& comment) {
    StepResult step{std::move(config), {}, {}};
    step.command = comment_command(step.config.config, comment);
    if (co_await use_cache(build, stage, step)) co_return;
    co_await commit_step(build, stage, std::move(step));
}

std::string declare(Build& build, const build::Arg& arg, const build::Lookup& lookup) {
    std::string comment = "ARG";
    for (const auto& [raw_name, raw_value] : arg.variables) {
        const std::string name = build::expand(raw_name, lookup, build.file.escape);
        std::optional<std::string> value;
        // A default that is not used may ask for variables that are not there.
        const bool unused =
            build.request.dialect == BuildDialect::buildkit && build.arguments.is_given(name);
        if (raw_value && !unused) value = build::expand(*raw_value, lookup, build.file.escape);
        comment += " " + name + (value ? "=" + *value : "");
        build.arguments.add(name, std::move(value));
    }
    return comment;
}

async::Task<void> change_config(Build& build, StageRun& stage, const Instruction& instruction,
                                const build::Lookup& lookup) {
    build::StageConfig config = config_of(stage);
    const std::string comment = build::apply(config, instruction, lookup, build.file.escape);
    const bool command_set = config.command_set;
    if (std::holds_alternative<build::WorkDir>(instruction.what)) {
        StepResult step{std::move(config), {}, {}};
        step.command = build::shell_of(step.config.config);
        step.command.push_back("#(nop) " + comment);
        co_await make_working_directory(build, stage, std::move(step));
    } else {
        co_await commit_comment(build, stage, std::move(config), comment);
    }
    stage.command_set = command_set;
}

async::Task<void> carry_out(Build& build, StageRun& stage, const Instruction& instruction) {
    const build::Lookup lookup = build.arguments.lookup(stage.image.config.config.env);
    if (const auto* arg = std::get_if<build::Arg>(&instruction.what)) {
        const std::string comment = declare(build, *arg, lookup);
        co_await commit_comment(build, stage, config_of(stage), comment);
    } else if (const auto* run = std::get_if<build::Run>(&instruction.what)) {
        co_await run_command(build, stage, *run);
    } else if (const auto* copy = std::get_if<build::Copy>(&instruction.what)) {
        co_await copy_files(build, stage, *copy);
    } else {
        co_await change_config(build, stage, instruction, lookup);
    }
}

async::Task<void> remove_containers(Build& build, StageRun& stage) {
    for (const std::string& id : stage.containers) {
        try {
            RemoveOptions options;
            options.force = true;
            options.volumes = true;
            co_await build.state.deps.containers.remove(id, options);
            build.log.removed(build.step, id);
        } catch (const Error& error) {
            if (error.kind() == ErrorKind::not_found) continue;
            build.log.note(fmt::format("Error removing intermediate container {}: {}",
                                       id.substr(0, 12), error.message()));
        }
    }
    stage.containers.clear();
}

/// One instruction with what has to be tidied up after it, whatever comes of it.
async::Task<void> carry_out_step(Build& build, StageRun& stage, const Instruction& instruction) {
    std::exception_ptr thrown;
    try {
        build.check_stop();
        co_await carry_out(build, stage, instruction);
    } catch (...) {
        thrown = std::current_exception();
    }
    const bool failed = thrown || build.failure;
    // Of a client that has gone nothing stays.
    if (build.request.remove_on_error || (build.request.remove && !failed) ||
        build.stop.stop_requested())
        co_await remove_containers(build, stage);
    stage.containers.clear();
    if (!failed) co_return;
    const Error error = thrown ? async::to_error(thrown)
                               : Error::with_text(ErrorKind::internal, build.failure->message);
    build.log.failed(build.step, error);
    if (thrown) std::rethrow_exception(thrown);
}

/// ONBUILD of the image that the stage begins with.
async::Task<void> run_triggers(Build& build, StageRun& stage) {
    std::vector<std::string> triggers = std::move(stage.image.config.config.on_build);
    stage.image.config.config.on_build.clear();
    if (triggers.empty()) co_return;
    build.log.note(fmt::format("# Executing {} build trigger{}", triggers.size(),
                               triggers.size() == 1 ? "" : "s"));
    for (const std::string& text : triggers) {
        const Instruction instruction = build::parse_trigger(text);
        co_await carry_out_step(build, stage, instruction);
        if (build.failure) co_return;
    }
}

async::Task<void> begin_stage(Build& build, StageRun& stage, const build::Stage& source) {
    begin_step(build, source.instruction.text);
    std::exception_ptr thrown;
    try {
        build.check_stop();
        const NamedContext* context = find_context(build, source.from.name);
        if (context != nullptr)
            stage.image = co_await image_of_context(build, source.from.name, *context);
        else
            stage.image = co_await base_image(build, source.from);
        stage.command_set = false;
    } catch (...) {
        thrown = std::current_exception();
    }
    if (thrown) {
        build.log.failed(build.step, async::to_error(thrown));
        std::rethrow_exception(thrown);
    }
    build.log.finished(build.step, stage.image.id_text());
    co_await run_triggers(build, stage);
}

async::Task<void> run_stage(Build& build, std::size_t index) {
    const build::Stage& source = build.file.stages[index];
    build.step.stage = index;
    build.step.stage_name = source.from.name;
    build.arguments.begin_stage();
    StageRun stage;
    stage.missed_cache = build.request.uncached_stages.contains(source.from.name);
    co_await begin_stage(build, stage, source);
    const bool replaced = find_context(build, source.from.name) != nullptr;
    for (const Instruction& instruction : source.instructions) {
        if (build.failure || replaced) break;
        begin_step(build, instruction.text);
        co_await carry_out_step(build, stage, instruction);
        if (!build.failure) build.log.finished(build.step, stage.image.id_text());
    }
    if (build.failure) co_return;
    build.log.stage_finished(stage.image.id_text());
    build.finished[index] = std::move(stage.image);
}

/// ARG before the first FROM.
void declare_globals(Build& build) {
    for (const Instruction& instruction : build.file.arguments) {
        begin_step(build, instruction.text);
        const build::Lookup lookup = build.arguments.global_lookup();
        for (const auto& [name, value] : std::get<build::Arg>(instruction.what).variables) {
            std::optional<std::string> text;
            if (value) text = build::expand(*value, lookup, build.file.escape);
            build.arguments.add_global(name, text);
        }
    }
}

async::Task<void> name_image(Build& build, const std::string& id) {
    for (const std::string& tag : build.request.tags) {
        const std::string name = image::Reference::parse(tag).with_default_tag().familiar();
        co_await build.state.deps.images.tag(id, tag, "");
        build.log.tagged(name);
    }
}

/// Everything that can be refused before the first step.
Build prepare(BuilderState& state, const BuildRequest& request,
              std::shared_ptr<const BuildContext> context, BuildLog& log, std::stop_token stop) {
    for (const std::string& tag : request.tags)
        if (image::Reference::parse(tag).digest())
            throw Error(ErrorKind::invalid, "refusing to create a tag with a digest reference");
    Build build{.state = state,
                .request = request,
                .context = std::move(context),
                .log = log,
                .stop = std::move(stop),
                .file = {},
                .arguments = arguments_of(request)};
    build.file = build::parse_dockerfile(build.context->dockerfile);
    const std::size_t target = build::target_stage(build.file, request.target);
    build.file.stages.resize(target + 1);
    add_labels(build.file.stages.back(), request.labels);
    build.finished.resize(target + 1);
    return build;
}

}  // namespace

void Build::check_stop() const {
    if (stop.stop_requested()) throw Error(ErrorKind::cancelled, "Build cancelled");
}

void refuse_without_buildkit(const std::string& what) {
    // The docker CLI's documentation quotes this text.
    throw Error(ErrorKind::invalid,
                "the {} requires BuildKit. Refer to https://docs.docker.com/go/buildkit/ to learn "
                "how to build images with BuildKit enabled",
                what);
}

Builder::Builder(BuilderDependencies dependencies)
    : state_(std::make_unique<BuilderState>(BuilderState{std::move(dependencies)})) {}
Builder::~Builder() = default;

async::Task<BuildResult> Builder::build(BuildRequest request,
                                        std::shared_ptr<const BuildContext> context, BuildLog& log,
                                        std::stop_token stop) {
    Build build = prepare(*state_, request, std::move(context), log, std::move(stop));
    add_platform_arguments(build.arguments, request.platform);
    build.arguments.add_automatic("TARGETSTAGE", name_of_target(request, build.file));
    const std::size_t last = build.file.stages.size() - 1;
    const std::set<std::size_t> needed = needed_stages(build, last);
    const auto wanted = [&](std::size_t stage) {
        return request.dialect == BuildDialect::classic || needed.contains(stage);
    };
    build.step.total = build.file.arguments.size();
    for (std::size_t i = 0; i <= last; ++i)
        if (wanted(i)) build.step.total += 1 + build.file.stages[i].instructions.size();
    for (const std::string& text : build.file.warnings) log.note("[Warning] " + text);
    declare_globals(build);
    for (std::size_t i = 0; i <= last && !build.failure; ++i)
        if (wanted(i)) co_await run_stage(build, i);
    if (build.failure) co_return BuildResult{"", build.failure};
    if (const auto unused = build.arguments.unused(); !unused.empty())
        log.note(fmt::format("[Warning] One or more build-args [{}] were not consumed",
                             fmt::join(unused, " ")));
    const std::string id = build.finished[last]->id_text();
    if (id.empty())
        throw Error(ErrorKind::invalid, "No image was generated. Is your Dockerfile empty?");
    log.built(id);
    co_await name_image(build, id);
    co_return BuildResult{id, std::nullopt};
}

void Builder::load() {
    AgentSocket::clear(state_->deps.context.settings.exec_root);
    if (!exists(state_->directory())) return;
    const UniqueFd builds = open_file(state_->directory(), O_RDONLY | O_DIRECTORY);
    for (const std::string& name : storage::names_in(builds, ""))
        if (name != kCaches) remove_tree(state_->directory() + "/" + name);
}

}  // namespace berth::engine
