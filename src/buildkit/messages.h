// BuildKit's messages as values, with the fields that are used here. Field numbers are those of
// moby/buildkit's control.proto and gateway.proto and of fsutil's wire.proto and stat.proto. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "grpc/status.h"
#include "grpc/wire.h"

namespace berth::buildkit {

using Attributes = std::map<std::string, std::string>;

/// An exporter, or where a cache comes from.
struct Typed final {
    std::string type;
    Attributes attributes;
};

Typed decode_typed(std::string_view bytes);

/// Control.Solve and LLBBridge.Solve.
struct SolveRequest final {
    std::string ref;      // Control: the client's name of the build
    std::string session;  // Control: where files and credentials are
    std::string frontend;
    Attributes options;
    std::vector<Typed> exporters;
    std::vector<Typed> cache_imports, cache_exports;
    Attributes inputs;            // images that were built before, by the client's names
    bool has_definition = false;  // steps that are ready-made (LLB)
    bool internal = false;        // the client's own: there is no record of it
};
SolveRequest decode_control_solve(std::string_view bytes);
SolveRequest decode_bridge_solve(std::string_view bytes);

/// The definition (pb.Definition) by which clients name a result of ours in later requests: a
/// source that nobody else understands.
std::string encode_result_definition(const std::string& image);

/// LLBBridge.Return: what the client makes of the results.
struct ReturnedResult final {
    std::string ref;       // of the result; empty: none
    grpc::Status failure;  // the client's
};
ReturnedResult decode_return(std::string_view bytes);
/// google.rpc.Status
grpc::Status decode_status(std::string_view bytes);

/// The first field of a message of texts, as "Ref" of StatusRequest.
std::string decode_text(std::string_view bytes, unsigned field = 1);

/// A file as the client describes it.
struct FileStat final {
    std::string path;
    std::uint32_t mode = 0;  // Go's FileMode
    std::uint32_t uid = 0, gid = 0;
    std::int64_t size = 0, modified_ns = 0;
    std::string link;  // of a symbolic link, or what a hard link is another name of
    std::int64_t major = 0, minor = 0;
    Attributes xattrs;
};
FileStat decode_stat(std::string_view bytes);
std::string encode(const FileStat& stat);

enum class PacketType { stat = 0, request = 1, data = 2, finish = 3, error = 4 };
struct Packet final {
    PacketType type = PacketType::stat;
    bool has_stat = false;
    FileStat stat;
    std::uint32_t id = 0;
    std::string data;
};
Packet decode_packet(std::string_view bytes);
std::string encode(const Packet& packet);

/// google.protobuf.Timestamp
grpc::WireWriter encode(Timestamp at);
Timestamp decode_timestamp(std::string_view bytes);

}  // namespace berth::buildkit
