// Copies one thing that is not a directory, with its attributes. The target must not exist.
// Devices that the user namespace refuses are left out. Throws Error naming the path.
#pragma once

#include "storage/inode.h"

namespace berth::storage {

void copy_leaf(const Place& from, const Place& to, const struct stat& status);

}  // namespace berth::storage
