#include "buildkit/build_record.h"

#include "base/error.h"

namespace berth::buildkit {

using grpc::WireReader;
using grpc::WireWriter;

namespace {
constexpr std::size_t kMessage = 1U << 20;
constexpr std::size_t kPrefix = 4;  // a size, the lowest byte first
constexpr const char* kLogType = "application/vnd.buildkit.status.v0";

std::uint64_t unsigned_of(std::int64_t value) { return static_cast<std::uint64_t>(value); }

WireWriter encode_typed(const Typed& typed) {
    return WireWriter().text(1, typed.type).map(2, typed.attributes);
}

void decode_descriptor(std::string_view bytes, BuildRecord& record) {
    for (WireReader field(bytes); field.next();) {
        if (field.field() == 2) record.log_digest = field.text();
        if (field.field() == 3) record.log_size = static_cast<std::int64_t>(field.number());
    }
}

void decode_texts(const WireReader& field, BuildRecord& record) {
    grpc::Status failure;
    switch (field.field()) {
        case 1:
            record.ref = field.text();
            break;
        case 2:
            record.frontend = field.text();
            break;
        case 3:
            grpc::read_entry(field.text(), record.options);
            break;
        case 4:
            record.exporters.push_back(decode_typed(field.text()));
            break;
        case 5:
            failure = decode_status(field.text());
            record.code = static_cast<int>(failure.code);
            record.error = std::move(failure.message);
            break;
        case 6:
            record.created = decode_timestamp(field.text());
            break;
        case 7:
            record.completed = decode_timestamp(field.text());
            break;
        case 8:
            decode_descriptor(field.text(), record);
            break;
        case 9:
            grpc::read_entry(field.text(), record.response);
            break;
        default:
            break;
    }
}

void decode_numbers(const WireReader& field, BuildRecord& record) {
    const int value = static_cast<int>(field.number());
    switch (field.field()) {
        case 12:
            record.generation = value;
            break;
        case 14:
            record.pinned = value != 0;
            break;
        case 15:
            record.steps.cached = value;
            break;
        case 16:
            record.steps.total = value;
            break;
        case 17:
            record.steps.completed = value;
            break;
        case 19:
            record.steps.warnings = value;
            break;
        default:
            break;
    }
}
}  // namespace

std::string encode(const BuildRecord& record) {
    WireWriter message;
    message.text(1, record.ref).text(2, record.frontend).map(3, record.options);
    for (const Typed& exporter : record.exporters) message.message(4, encode_typed(exporter));
    if (record.code != 0)
        message.message(5, WireWriter().number(1, unsigned_of(record.code)).text(2, record.error));
    message.message(6, encode(record.created));
    if (record.completed.ns != 0) message.message(7, encode(record.completed));
    if (!record.log_digest.empty())
        message.message(8, WireWriter()
                               .text(1, kLogType)
                               .text(2, record.log_digest)
                               .number(3, unsigned_of(record.log_size)));
    message.map(9, record.response).number(12, unsigned_of(record.generation));
    message.number(14, record.pinned ? 1 : 0).number(15, unsigned_of(record.steps.cached));
    message.number(16, unsigned_of(record.steps.total));
    message.number(17, unsigned_of(record.steps.completed));
    return message.number(19, unsigned_of(record.steps.warnings)).take();
}

BuildRecord decode_record(std::string_view bytes) {
    BuildRecord record;
    for (WireReader field(bytes); field.next();) {
        if (field.field() < 12)
            decode_texts(field, record);
        else
            decode_numbers(field, record);
    }
    return record;
}

void add_to_log(std::string& log, std::string_view piece) {
    for (const unsigned shift : {0U, 8U, 16U, 24U})
        log += static_cast<char>(piece.size() >> shift & 0xFF);
    log += piece;
}

std::vector<std::string> read_log(std::string_view log) {
    std::vector<std::string> messages;
    while (!log.empty()) {
        if (log.size() < kPrefix) throw Error(ErrorKind::invalid, "the log of a build is cut off");
        std::size_t size = 0;
        for (std::size_t i = kPrefix; i-- > 0;)
            size = size << 8 | static_cast<unsigned char>(log[i]);
        log.remove_prefix(kPrefix);
        if (log.size() < size) throw Error(ErrorKind::invalid, "the log of a build is cut off");
        // Messages one after the other are one merged message.
        if (messages.empty() || messages.back().size() + size > kMessage) messages.emplace_back();
        messages.back() += log.substr(0, size);
        log.remove_prefix(size);
    }
    return messages;
}

}  // namespace berth::buildkit
