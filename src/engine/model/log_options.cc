#include "engine/model/log_options.h"

#include <set>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "engine/filters.h"
#include "engine/model/syslog_options.h"
#include "shim/log_options.h"

namespace berth::engine::model {

namespace {

using Options = std::map<std::string, std::string>;

std::string option(const Options& options, const char* key) {
    const auto found = options.find(key);
    return found == options.end() ? std::string() : found->second;
}

[[noreturn]] void refuse_log(const std::string& text) {
    throw Error::with_text(ErrorKind::invalid, text);
}

std::set<std::string> listed(const std::string& text) {
    const auto names = words_of(text, ",");
    return {names.begin(), names.end()};
}

/// journald takes capitals, digits and underscores, and none of those at the front.
std::string journal_name(const std::string& key) {
    std::string name;
    for (const char c : key) {
        const bool lower = c >= 'a' && c <= 'z';
        const bool plain = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        name += lower ? static_cast<char>(c - 32) : plain ? c : '_';
    }
    return name.substr(std::min(name.find_first_not_of('_'), name.size()));
}

std::string bare_image_id(const ContainerRecord& record) {
    return record.image_id.substr(record.image_id.find(':') + 1);
}

std::string tag_field(const std::string& name, const ContainerRecord& record) {
    if (name == ".ID") return record.id.substr(0, 12);
    if (name == ".FullID") return record.id;
    if (name == ".Name") return record.name;
    if (name == ".ImageName") return record.config.image;
    if (name == ".ImageID") return bare_image_id(record).substr(0, 12);
    if (name == ".ImageFullID") return record.image_id;
    if (name == ".DaemonName") return "docker";
    refuse_log(fmt::format("invalid log tag: unknown field {}", name));
}

}  // namespace

void check_log_options(const LogConfig& log) {
    if (log.type.empty() || log.type == "none") return;
    shim::check_log_options(log.type, log.options);
    if (log.type == "syslog") check_syslog_options(log.options);
    expand_tag(option(log.options, "tag"), {});
}

std::map<std::string, std::string> log_attributes(const ContainerConfig& config,
                                                  const LogConfig& log) {
    std::map<std::string, std::string> attributes;
    const auto add = [&](const char* names, const char* pattern, const std::string& key,
                         const std::string& value) {
        const std::string regex = option(log.options, pattern);
        if (listed(option(log.options, names)).contains(key) ||
            (!regex.empty() && matches_pattern(regex, key)))
            attributes[key] = value;
    };
    for (const auto& [key, value] : config.labels) add("labels", "labels-regex", key, value);
    for (const std::string& entry : config.env) {
        const std::size_t equals = entry.find('=');
        if (equals != std::string::npos)
            add("env", "env-regex", entry.substr(0, equals), entry.substr(equals + 1));
    }
    return attributes;
}

std::string expand_tag(const std::string& tag, const ContainerRecord& record) {
    std::string text;
    std::size_t from = 0;
    for (std::size_t open = 0; (open = tag.find("{{", from)) != std::string::npos;) {
        const std::size_t close = tag.find("}}", open);
        if (close == std::string::npos) refuse_log(fmt::format("invalid log tag: {}", tag));
        std::string name = tag.substr(open + 2, close - open - 2);
        std::erase(name, ' ');
        text += tag.substr(from, open - from) + tag_field(name, record);
        from = close + 2;
    }
    return text + tag.substr(from);
}

std::map<std::string, std::string> journal_fields(const ContainerRecord& record) {
    const LogConfig& log = record.host_config.log_config;
    std::string tag = option(log.options, "tag");
    if (tag.empty()) tag = "{{.ID}}";
    std::map<std::string, std::string> fields;
    for (const auto& [key, value] : log_attributes(record.config, log))
        if (const std::string name = journal_name(key); !name.empty()) fields[name] = value;
    fields["CONTAINER_ID"] = record.id.substr(0, 12);
    fields["CONTAINER_ID_FULL"] = record.id;
    fields["CONTAINER_NAME"] = record.name;
    fields["CONTAINER_TAG"] = expand_tag(tag, record);
    fields["IMAGE_NAME"] = record.config.image;
    fields["SYSLOG_IDENTIFIER"] = fields["CONTAINER_TAG"];
    return fields;
}

}  // namespace berth::engine::model
