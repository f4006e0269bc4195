#include "buildkit/messages.h"

#include "archive/digester.h"
#include "base/error.h"

namespace berth::buildkit {

using grpc::WireReader;
using grpc::WireWriter;

namespace {
/// pb.Definition has an operation.
bool is_definition(std::string_view bytes) {
    for (WireReader field(bytes); field.next();)
        if (field.field() == 1) return true;
    return false;
}

constexpr std::string_view kResult = "berth-result://";

/// The image that encode_result_definition() was given; empty for other definitions.
std::string decode_result_definition(std::string_view bytes) {
    for (WireReader field(bytes); field.next();) {
        if (field.field() != 1) continue;
        for (WireReader operation(field.text()); operation.next();) {
            if (operation.field() != 3) continue;  // a SourceOp
            const std::string source = decode_text(operation.text());
            if (source.starts_with(kResult)) return source.substr(kResult.size());
        }
    }
    return "";
}

/// FrontendInputs
void decode_input(std::string_view bytes, Attributes& inputs) {
    Attributes entry;
    grpc::read_entry(bytes, entry);
    const auto& [name, definition] = *entry.begin();
    inputs[name] = decode_result_definition(definition);
}

/// CacheOptions
void decode_cache(std::string_view bytes, SolveRequest& request) {
    for (WireReader field(bytes); field.next();) {
        if (field.field() == 4) request.cache_exports.push_back(decode_typed(field.text()));
        if (field.field() == 5) request.cache_imports.push_back(decode_typed(field.text()));
    }
}

/// frontend.Ref
std::string decode_ref(std::string_view bytes) { return decode_text(bytes); }

/// frontend.Result: a reference of today or of former clients. Several (one a platform): the first.
std::string decode_result(std::string_view bytes) {
    std::string ref;
    for (WireReader field(bytes); field.next();) {
        if (field.field() == 1) ref = field.text();
        if (field.field() == 3) ref = decode_ref(field.text());
        if (field.field() != 2 && field.field() != 4) continue;
        for (WireReader list(field.text()); list.next();) {
            Attributes entry;
            if (list.field() == 1) grpc::read_entry(list.text(), entry);
            if (!entry.empty() && ref.empty())
                ref =
                    field.field() == 2 ? entry.begin()->second : decode_ref(entry.begin()->second);
        }
    }
    return ref;
}
}  // namespace

Typed decode_typed(std::string_view bytes) {
    Typed typed;
    for (WireReader field(bytes); field.next();) {
        if (field.field() == 1) typed.type = field.text();
        if (field.field() == 2) grpc::read_entry(field.text(), typed.attributes);
    }
    return typed;
}

SolveRequest decode_control_solve(std::string_view bytes) {
    SolveRequest request;
    Typed former;  // clients that know one exporter only
    for (WireReader field(bytes); field.next();) {
        switch (field.field()) {
            case 1:
                request.ref = field.text();
                break;
            case 2:
                request.has_definition = is_definition(field.text());
                break;
            case 3:
                former.type = field.text();
                break;
            case 4:
                grpc::read_entry(field.text(), former.attributes);
                break;
            case 5:
                request.session = field.text();
                break;
            case 6:
                request.frontend = field.text();
                break;
            case 7:
                grpc::read_entry(field.text(), request.options);
                break;
            case 8:
                decode_cache(field.text(), request);
                break;
            case 11:
                request.internal = field.number() != 0;
                break;
            case 13:
                request.exporters.push_back(decode_typed(field.text()));
                break;
            default:
                break;
        }
    }
    if (request.exporters.empty() && !former.type.empty())
        request.exporters.push_back(std::move(former));
    return request;
}

SolveRequest decode_bridge_solve(std::string_view bytes) {
    SolveRequest request;
    for (WireReader field(bytes); field.next();) {
        switch (field.field()) {
            case 1:
                request.has_definition = is_definition(field.text());
                break;
            case 2:
                request.frontend = field.text();
                break;
            case 3:
                grpc::read_entry(field.text(), request.options);
                break;
            case 12:
                request.cache_imports.push_back(decode_typed(field.text()));
                break;
            case 13:
                decode_input(field.text(), request.inputs);
                break;
            default:
                break;
        }
    }
    return request;
}

// An operation (pb.Op) is named by its digest; the last one has no content but its input.
std::string encode_result_definition(const std::string& image) {
    const std::string source =
        WireWriter().message(3, WireWriter().text(1, std::string(kResult) + image)).take();
    const std::string name = archive::sha256(source).str();
    const std::string end = WireWriter().message(1, WireWriter().text(1, name)).take();
    WireWriter definition;
    definition.message(1, source).message(1, end);
    for (const std::string& operation : {name, archive::sha256(end).str()})
        definition.message(2, WireWriter().text(1, operation).message(2, WireWriter()));
    return definition.take();
}

grpc::Status decode_status(std::string_view bytes) {
    grpc::Status status;
    for (WireReader field(bytes); field.next();) {
        if (field.field() == 1) status.code = static_cast<grpc::Code>(field.number());
        if (field.field() == 2) status.message = field.text();
    }
    return status;
}

ReturnedResult decode_return(std::string_view bytes) {
    ReturnedResult returned;
    for (WireReader field(bytes); field.next();) {
        if (field.field() == 1) returned.ref = decode_result(field.text());
        if (field.field() == 2) returned.failure = decode_status(field.text());
    }
    return returned;
}

std::string decode_text(std::string_view bytes, unsigned field) {
    std::string text;
    for (WireReader reader(bytes); reader.next();)
        if (reader.field() == field) text = reader.text();
    return text;
}

FileStat decode_stat(std::string_view bytes) {
    FileStat stat;
    for (WireReader field(bytes); field.next();) {
        switch (field.field()) {
            case 1:
                stat.path = field.text();
                break;
            case 2:
                stat.mode = static_cast<std::uint32_t>(field.number());
                break;
            case 3:
                stat.uid = static_cast<std::uint32_t>(field.number());
                break;
            case 4:
                stat.gid = static_cast<std::uint32_t>(field.number());
                break;
            case 5:
                stat.size = static_cast<std::int64_t>(field.number());
                break;
            case 6:
                stat.modified_ns = static_cast<std::int64_t>(field.number());
                break;
            case 7:
                stat.link = field.text();
                break;
            case 8:
                stat.major = static_cast<std::int64_t>(field.number());
                break;
            case 9:
                stat.minor = static_cast<std::int64_t>(field.number());
                break;
            case 10:
                grpc::read_entry(field.text(), stat.xattrs);
                break;
            default:
                break;
        }
    }
    return stat;
}

std::string encode(const FileStat& stat) {
    const auto number = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
    return WireWriter()
        .text(1, stat.path)
        .number(2, stat.mode)
        .number(3, stat.uid)
        .number(4, stat.gid)
        .number(5, number(stat.size))
        .number(6, number(stat.modified_ns))
        .text(7, stat.link)
        .number(8, number(stat.major))
        .number(9, number(stat.minor))
        .map(10, stat.xattrs)
        .take();
}

Packet decode_packet(std::string_view bytes) {
    Packet packet;
    for (WireReader field(bytes); field.next();) {
        switch (field.field()) {
            case 1:
                packet.type = static_cast<PacketType>(field.number());
                break;
            case 2:
                packet.has_stat = true;
                packet.stat = decode_stat(field.text());
                break;
            case 3:
                packet.id = static_cast<std::uint32_t>(field.number());
                break;
            case 4:
                packet.data = field.text();
                break;
            default:
                break;
        }
    }
    return packet;
}

std::string encode(const Packet& packet) {
    WireWriter writer;
    writer.number(1, static_cast<std::uint64_t>(packet.type));
    if (packet.has_stat) writer.message(2, encode(packet.stat));
    return writer.number(3, packet.id).text(4, packet.data).take();
}

WireWriter encode(Timestamp at) {
    return WireWriter()
        .number(1, static_cast<std::uint64_t>(at.seconds()))
        .number(2, static_cast<std::uint64_t>(at.ns % 1'000'000'000));
}

Timestamp decode_timestamp(std::string_view bytes) {
    Timestamp at;
    for (WireReader field(bytes); field.next();) {
        const auto value = static_cast<std::int64_t>(field.number());
        if (field.field() == 1) at.ns += value * 1'000'000'000;
        if (field.field() == 2) at.ns += value;
    }
    return at;
}

}  // namespace berth::buildkit
