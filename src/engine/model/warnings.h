// What a create request asks for and does not get. Nothing is dropped in silence: a field without
// effect has a line here, or validate() refuses it. Pure.
#pragma once

#include <string>
#include <vector>

#include "engine/model/record.h"
#include "engine/model/validate.h"

namespace berth::engine::model {

/// A line for each limit and option of a merged record that will have no effect.
std::vector<std::string> warnings(const ContainerRecord& record, const Abilities& abilities);

}  // namespace berth::engine::model
