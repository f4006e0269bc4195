// The options of log drivers: which there are, and what labels, environment and tag make of a
// container's records. Pure.
#pragma once

#include <map>
#include <string>

#include "engine/model/record.h"

namespace berth::engine::model {

/// Throws Error{invalid}, in Docker's words, for an unknown driver and for an option or a value
/// that the driver does not take.
void check_log_options(const LogConfig& log);

/// The labels and variables of the container that the options name.
std::map<std::string, std::string> log_attributes(const ContainerConfig& config,
                                                  const LogConfig& log);

/// A tag with its "{{.Name}}" and the like replaced. Throws Error{invalid} for an unknown one.
std::string expand_tag(const std::string& tag, const ContainerRecord& record);

/// What each of the container's messages in the journal has beside its text, as Docker names it.
std::map<std::string, std::string> journal_fields(const ContainerRecord& record);

}  // namespace berth::engine::model
