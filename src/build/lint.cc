#include "build/lint.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/text.h"
#include "build/arguments.h"
#include "build/words.h"

namespace berth::build {

namespace {
// Texts and addresses that clients print: BuildKit's.
#define RULE_URL(page) "https://docs.docker.com/go/dockerfile/rule/" page "/"
constexpr LintRule kStageNameCasing{"StageNameCasing", "Stage names should be lowercase",
                                    RULE_URL("stage-name-casing")};
constexpr LintRule kFromAsCasing{"FromAsCasing",
                                 "The 'as' keyword should match the case of the 'from' keyword",
                                 RULE_URL("from-as-casing")};
constexpr LintRule kNoEmptyContinuation{
    "NoEmptyContinuation", "Empty continuation lines will become errors in a future release",
    RULE_URL("no-empty-continuation")};
constexpr LintRule kConsistentCasing{
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    RULE_URL("consistent-instruction-casing")};
constexpr LintRule kDuplicateStageName{"DuplicateStageName", "Stage names should be unique",
                                       RULE_URL("duplicate-stage-name")};
constexpr LintRule kReservedStageName{"ReservedStageName",
                                      "Reserved words should not be used as stage names",
                                      RULE_URL("reserved-stage-name")};
constexpr LintRule kJsonArguments{
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS "
    "signals",
    RULE_URL("json-args-recommended")};
constexpr LintRule kMaintainer{
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    RULE_URL("maintainer-deprecated")};
constexpr LintRule kUndefinedArgument{"UndefinedArgInFrom", "FROM command must use declared ARGs",
                                      RULE_URL("undefined-arg-in-from")};
constexpr LintRule kRelativeWorkDir{
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected "
    "results if the base image changes",
    RULE_URL("workdir-relative-path")};
constexpr LintRule kUndefinedVariable{
    "UndefinedVar", "Variables should be defined before their use", RULE_URL("undefined-var")};
constexpr LintRule kMultipleInstructions{
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    RULE_URL("multiple-instructions-disallowed")};
constexpr LintRule kLegacyPairs{
    "LegacyKeyValueFormat", "Legacy key/value format with whitespace separator should not be used",
    RULE_URL("legacy-key-value-format")};
constexpr LintRule kRedundantPlatform{
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
    "behavior",
    RULE_URL("redundant-target-platform")};
constexpr LintRule kSecrets{"SecretsUsedInArgOrEnv",
                            "Sensitive data should not be used in the ARG or ENV commands",
                            RULE_URL("secrets-used-in-arg-or-env")};
constexpr LintRule kInvalidDefault{
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    RULE_URL("invalid-default-arg-in-from")};
constexpr LintRule kConstantPlatform{"FromPlatformFlagConstDisallowed",
                                     "FROM --platform flag should not use a constant value",
                                     RULE_URL("from-platform-flag-const-disallowed")};
constexpr LintRule kExposeCasing{"ExposeProtoCasing",
                                 "Protocol in EXPOSE instruction should be lowercase",
                                 RULE_URL("expose-proto-casing")};
#undef RULE_URL

bool is_upper(std::string_view text) { return text == to_upper(text); }
bool is_lower(std::string_view text) { return text == to_lower(text); }

/// The instruction's name as it is written.
std::string keyword_of(const Instruction& instruction) {
    std::string_view rest = instruction.text;
    return std::string(take_word(rest));
}

/// A word of the name, between underscores, that says so; "public" takes it back.
bool names_secret(std::string_view name) {
    constexpr std::array<std::string_view, 10> kTokens{
        "apikey",   "auth",  "credential", "credentials", "key",
        "password", "pword", "passwd",     "secret",      "token"};
    bool secret = false;
    const std::string lower = to_lower(name);
    for (const std::string_view word : words_of(lower, "_")) {
        if (word == "public") return false;
        secret = secret || std::ranges::find(kTokens, word) != kTokens.end();
    }
    return secret;
}

bool is_automatic(const std::string& name) {
    for (const std::string_view prefix : {"TARGET", "BUILD"})
        for (const std::string_view suffix : {"PLATFORM", "OS", "ARCH", "VARIANT"})
            if (name == std::string(prefix) + std::string(suffix)) return true;
    return name == "TARGETSTAGE";
}

/// The words in which an instruction's variables are expanded one by one.
std::vector<std::string> expanded_words(const Instruction& instruction) {
    std::vector<std::string> words;
    const auto add = [&](const std::vector<std::string>& more) {
        words.insert(words.end(), more.begin(), more.end());
    };
    if (const auto* env = std::get_if<Env>(&instruction.what))
        for (const auto& [name, value] : env->pairs) add({name, value});
    if (const auto* label = std::get_if<Label>(&instruction.what); label && !label->literal)
        for (const auto& [name, value] : label->pairs) add({name, value});
    if (const auto* arg = std::get_if<Arg>(&instruction.what))
        for (const auto& [name, value] : arg->variables) add({value.value_or("")});
    if (const auto* expose = std::get_if<Expose>(&instruction.what)) add(expose->ports);
    if (const auto* volume = std::get_if<Volume>(&instruction.what)) add(volume->paths);
    if (const auto* user = std::get_if<User>(&instruction.what)) add({user->user});
    if (const auto* directory = std::get_if<WorkDir>(&instruction.what)) add({directory->path});
    if (const auto* stop = std::get_if<StopSignal>(&instruction.what)) add({stop->signal});
    if (const auto* copy = std::get_if<Copy>(&instruction.what)) {
        add(copy->sources);
        add({copy->destination, copy->owner});
    }
    return words;
}

class Linter final {
  public:
    Linter(const Dockerfile& file, const LintRequest& request) : file_(file), request_(request) {}
    std::vector<LintWarning> run();

  private:
    /// What a stage that begins with another one inherits.
    struct Variables final {
        std::set<std::string> names;
        bool known = true;  // all of the base image's
        bool work_dir = false;
        bool shell = false;
    };

    void warn(const LintRule& rule, const Instruction& at, std::string detail);
    void check_casing();
    void check_continuations();
    void check_from(const Stage& stage, std::size_t index);
    void check_stage_name(const Stage& stage, std::size_t index);
    void check_platform(const Stage& stage);
    void check_base_name(const Stage& stage);
    Variables base_of(const Stage& stage, std::size_t index) const;
    void check_stage(const Stage& stage, std::size_t index);
    void check_instruction(const Instruction& instruction, Variables& variables);
    void check_secrets(const Instruction& instruction);
    void check_pairs(const Instruction& instruction);
    void check_variables(const Instruction& instruction, const Variables& variables);
    void check_once(const Stage& stage);
    void check_command(const Instruction& instruction, const Command& command,
                       const Variables& variables);

    const Dockerfile& file_;
    const LintRequest& request_;
    std::map<std::string, std::optional<std::string>> globals_;
    std::vector<Variables> stages_;
    std::vector<LintWarning> found_;
};

void Linter::warn(const LintRule& rule, const Instruction& at, std::string detail) {
    const LintSettings& settings = request_.settings;
    if (settings.skips_all || settings.skipped.contains(to_lower(rule.name))) return;
    found_.push_back({&rule, std::move(detail), at.line, at.last_line});
}

void Linter::check_casing() {
    std::vector<const Instruction*> all;
    for (const Instruction& arg : file_.arguments) all.push_back(&arg);
    for (const Stage& stage : file_.stages) {
        all.push_back(&stage.instruction);
        for (const Instruction& instruction : stage.instructions) all.push_back(&instruction);
    }
    int lower = 0;
    int upper = 0;
    for (const Instruction* instruction : all) {
        lower += is_lower(keyword_of(*instruction)) ? 1 : 0;
        upper += is_upper(keyword_of(*instruction)) ? 1 : 0;
    }
    const bool wants_lower = lower > upper;
    for (const Instruction* instruction : all) {
        const std::string keyword = keyword_of(*instruction);
        if (wants_lower ? is_lower(keyword) : is_upper(keyword)) continue;
        warn(kConsistentCasing, *instruction,
             fmt::format("Command '{}' should match the case of the command majority ({})", keyword,
                         wants_lower ? "lowercase" : "uppercase"));
    }
}

void Linter::check_continuations() {
    for (const int line : file_.empty_continuations) {
        Instruction at;
        at.line = at.last_line = line;
        warn(kNoEmptyContinuation, at, "Empty continuation line");
    }
}

void Linter::check_stage_name(const Stage& stage, std::size_t index) {
    std::string_view rest = stage.instruction.text;
    const std::string from(take_word(rest));
    take_flags(rest, file_.escape);
    const std::vector<std::string> words = raw_words(rest, file_.escape);
    if (words.size() != 3) return;
    const std::string& as = words[1];
    const std::string& name = words[2];
    if (!is_lower(name))
        warn(kStageNameCasing, stage.instruction,
             fmt::format("Stage name '{}' should be lowercase", name));
    if ((is_lower(from) && !is_lower(as)) || (is_upper(from) && !is_upper(as)))
        warn(kFromAsCasing, stage.instruction,
             fmt::format("'{}' and '{}' keywords' casing do not match", as, from));
    const std::string lower = to_lower(name);
    if (lower == "context" || lower == "scratch")
        warn(kReservedStageName, stage.instruction,
             fmt::format("Stage name should not use the same name as reserved stage \"{}\"", name));
    for (std::size_t i = 0; i < index; ++i) {
        if (file_.stages[i].from.name != lower) continue;
        warn(kDuplicateStageName, stage.instruction,
             fmt::format("Duplicate stage name \"{}\", stage names should be unique", name));
        break;
    }
}

void Linter::check_platform(const Stage& stage) {
    const std::string& platform = stage.from.platform;
    if (platform.empty()) return;
    if (platform == "$TARGETPLATFORM" || platform == "${TARGETPLATFORM}")
        warn(kRedundantPlatform, stage.instruction,
             fmt::format("Setting platform to predefined {} in FROM is redundant as this is the "
                         "default behavior",
                         platform));
    if (platform.find('$') != std::string::npos) return;
    // A stage that is named for its platform means it.
    for (const std::string_view part : words_of(platform, "/"))
        if (stage.from.name.find(part) != std::string::npos) return;
    warn(kConstantPlatform, stage.instruction,
         fmt::format("FROM --platform flag should not use constant value \"{}\"", platform));
}

void Linter::check_base_name(const Stage& stage) {
    const std::string& image = stage.from.image;
    for (const std::string& text : {image, stage.from.platform})
        for (const std::string& name : plain_variables(text, file_.escape))
            if (!globals_.contains(name) && !is_automatic(name))
                warn(kUndefinedArgument, stage.instruction,
                     fmt::format("FROM argument '{}' is not declared", name));
    const Lookup defaults = [&](const std::string& name) -> std::optional<std::string> {
        const auto found = globals_.find(name);
        return found == globals_.end() ? std::nullopt : found->second;
    };
    std::string name;
    try {
        name = expand(image, defaults, file_.escape);
    } catch (const Error&) {
        return;  // ${x:?}: it says so itself
    }
    const bool invalid = name.empty() || name.ends_with(':') || name.ends_with('/') ||
                         name.starts_with(':') || name.find("//") != std::string::npos;
    if (invalid && image.find('$') != std::string::npos)
        warn(kInvalidDefault, stage.instruction,
             fmt::format("Default value for ARG {} results in empty or invalid base image name",
                         image));
}

void Linter::check_from(const Stage& stage, std::size_t index) {
    check_stage_name(stage, index);
    check_platform(stage);
    check_base_name(stage);
}

Linter::Variables Linter::base_of(const Stage& stage, std::size_t index) const {
    if (const auto base = find_stage(file_, stage.from.image, index)) return stages_[*base];
    Variables variables;
    if (stage.from.image == "scratch") return variables;
    std::optional<std::vector<std::string>> environment;
    if (request_.environment) environment = request_.environment(stage.from.image);
    variables.known = environment.has_value();
    for (const std::string& entry : environment.value_or(std::vector<std::string>()))
        variables.names.insert(variable_name(entry));
    return variables;
}

void Linter::check_secrets(const Instruction& instruction) {
    const auto check = [&](const std::string& name) {
        if (names_secret(name))
            warn(kSecrets, instruction,
                 fmt::format("Do not use ARG or ENV instructions for sensitive data ({} \"{}\")",
                             instruction.name, name));
    };
    if (const auto* env = std::get_if<Env>(&instruction.what))
        for (const auto& [name, value] : env->pairs) check(name);
    if (const auto* arg = std::get_if<Arg>(&instruction.what))
        for (const auto& [name, value] : arg->variables) check(name);
}

void Linter::check_pairs(const Instruction& instruction) {
    if (instruction.name != "ENV" && instruction.name != "LABEL") return;
    std::string_view rest = instruction.text;
    take_word(rest);
    const std::vector<std::string> words = raw_words(rest, file_.escape);
    if (words.empty() || words.front().find('=') != std::string::npos) return;
    warn(kLegacyPairs, instruction,
         fmt::format("\"{0} key=value\" should be used instead of legacy \"{0} key value\" format",
                     instruction.name));
}

void Linter::check_variables(const Instruction& instruction, const Variables& variables) {
    if (!variables.known) return;
    std::set<std::string> undefined;
    for (const std::string& word : expanded_words(instruction))
        for (const std::string& name : plain_variables(word, file_.escape))
            if (!variables.names.contains(name) && !is_automatic(name) &&
                !is_predefined(to_upper(name)))
                undefined.insert(name);
    for (const std::string& name : undefined)
        warn(kUndefinedVariable, instruction,
             fmt::format("Usage of undefined variable '${}'", name));
}

void Linter::check_command(const Instruction& instruction, const Command& command,
                           const Variables& variables) {
    if (command.for_shell && !variables.shell)
        warn(kJsonArguments, instruction,
             fmt::format("JSON arguments recommended for {} to prevent unintended behavior related "
                         "to OS signals",
                         keyword_of(instruction)));
}

void Linter::check_once(const Stage& stage) {
    std::map<std::string, const Instruction*> before;
    for (const Instruction& instruction : stage.instructions) {
        const std::string& name = instruction.name;
        if (name != "CMD" && name != "ENTRYPOINT" && name != "HEALTHCHECK") continue;
        // The one before is what has no effect.
        if (const Instruction* other = std::exchange(before[name], &instruction))
            warn(kMultipleInstructions, *other,
                 fmt::format("Multiple {} instructions should not be used in the same stage "
                             "because only the last one will be used",
                             name));
    }
}

void Linter::check_instruction(const Instruction& instruction, Variables& variables) {
    check_secrets(instruction);
    check_pairs(instruction);
    check_variables(instruction, variables);
    if (std::holds_alternative<Maintainer>(instruction.what))
        warn(kMaintainer, instruction,
             "Maintainer instruction is deprecated in favor of using label");
    if (const auto* directory = std::get_if<WorkDir>(&instruction.what)) {
        const bool absolute = directory->path.starts_with('/') ||
                              directory->path.starts_with('$') || directory->path.starts_with('"');
        if (!absolute && !variables.work_dir)
            warn(kRelativeWorkDir, instruction,
                 fmt::format("Relative workdir \"{}\" can have unexpected results if the base "
                             "image changes",
                             directory->path));
        variables.work_dir = variables.work_dir || absolute;
    }
    if (const auto* command = std::get_if<Cmd>(&instruction.what))
        check_command(instruction, command->command, variables);
    if (const auto* command = std::get_if<Entrypoint>(&instruction.what))
        check_command(instruction, command->command, variables);
    if (const auto* expose = std::get_if<Expose>(&instruction.what))
        for (const std::string& port : expose->ports)
            if (!is_lower(port) && port.find('$') == std::string::npos)
                warn(kExposeCasing, instruction,
                     fmt::format("Defined protocol '{}' in EXPOSE instruction should be lowercase",
                                 port));
    if (std::holds_alternative<Shell>(instruction.what)) variables.shell = true;
    if (const auto* env = std::get_if<Env>(&instruction.what))
        for (const auto& [name, value] : env->pairs) variables.names.insert(name);
    if (const auto* arg = std::get_if<Arg>(&instruction.what))
        for (const auto& [name, value] : arg->variables) variables.names.insert(name);
}

void Linter::check_stage(const Stage& stage, std::size_t index) {
    check_from(stage, index);
    Variables variables = base_of(stage, index);
    for (const Instruction& instruction : stage.instructions)
        check_instruction(instruction, variables);
    check_once(stage);
    stages_.push_back(std::move(variables));
}

std::vector<LintWarning> Linter::run() {
    check_casing();
    check_continuations();
    for (const Instruction& instruction : file_.arguments) {
        check_secrets(instruction);
        for (const auto& [name, value] : std::get<Arg>(instruction.what).variables)
            globals_[name] = value;
    }
    for (std::size_t i = 0; i < file_.stages.size(); ++i) check_stage(file_.stages[i], i);
    return std::move(found_);
}
}  // namespace

LintSettings lint_settings(std::string_view text) {
    LintSettings settings;
    for (const std::string_view part : words_of(text, ";")) {
        const std::string_view setting = trimmed(part);
        const std::size_t equals = setting.find('=');
        if (equals == std::string_view::npos)
            throw Error(ErrorKind::invalid, "invalid check option \"{}\"", setting);
        const std::string key = to_lower(trimmed(setting.substr(0, equals)));
        const std::string_view value = trimmed(setting.substr(equals + 1));
        if (key == "skip") {
            if (to_lower(value) == "all") settings.skips_all = true;
            for (const std::string_view rule : words_of(value, ","))
                settings.skipped.insert(to_lower(trimmed(rule)));
        } else if (key == "error") {
            settings.is_error = to_lower(value) == "true" || value == "1";
        } else if (key != "experimental") {
            throw Error(ErrorKind::invalid, "invalid check option \"{}\"", key);
        }
    }
    return settings;
}

std::vector<std::string> plain_variables(std::string_view word, char escape) {
    std::vector<std::string> names;
    const auto is_name = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_';
    };
    bool quoted = false;   // by "
    bool literal = false;  // by '
    for (std::size_t at = 0; at < word.size(); ++at) {
        if (word[at] == '"' && !literal) quoted = !quoted;
        if (word[at] == '\'' && !quoted) literal = !literal;
        if (literal) continue;
        if (word[at] == escape) {
            ++at;
            continue;
        }
        if (word[at] != '$') continue;
        const bool braced = at + 1 < word.size() && word[at + 1] == '{';
        const std::size_t begin = at + (braced ? 2 : 1);
        std::size_t end = begin;
        while (end < word.size() && is_name(word[end])) ++end;
        const bool plain = !braced || (end < word.size() && word[end] == '}');
        if (plain && end > begin && (word[begin] < '0' || word[begin] > '9'))
            names.emplace_back(word.substr(begin, end - begin));
        at = end > begin ? end - 1 : at;
    }
    return names;
}

std::vector<LintWarning> lint(const Dockerfile& file, const LintRequest& request) {
    return Linter(file, request).run();
}

}  // namespace berth::build
