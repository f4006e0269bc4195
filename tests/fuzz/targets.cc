#include "targets.h"

#include <array>
#include <nlohmann/json.hpp>

#include "archive/compression.h"
#include "archive/tar_reader.h"
#include "base/json.h"
#include "engine/containers/log_reader.h"
#include "engine/model/container_config.h"
#include "engine/spec_build.h"
#include "http/message.h"
#include "http/parser.h"
#include "image/reference.h"
#include "net/dns_message.h"
#include "net/dns_names.h"
#include "net/tcp_packet.h"
#include "oci/image_spec.h"
#include "oci/runtime_spec.h"
#include "shim/protocol.h"
#include "shim/websocket.h"

namespace berth::fuzz {
namespace {

using namespace std::string_literals;

void read_tar(std::string_view bytes) {
    archive::MemorySource source(bytes);
    archive::TarReader reader(source, {.max_entries = 1000, .max_total_size = 1U << 20});
    std::array<char, 512> piece{};
    while (reader.next())
        while (reader.read(piece) > 0) {
        }
}

void read_compressed(std::string_view bytes) {
    archive::MemorySource source(bytes);
    const auto plain = archive::decompress(source);
    std::array<char, 4096> piece{};
    for (int rounds = 0; rounds < 1000 && plain->read(piece) > 0; ++rounds) {
    }
}

void read_reference(std::string_view bytes) { image::Reference::parse(bytes); }

void answer_packet(std::string_view bytes) {
    const net::PacketBytes packet{reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                  bytes.size()};
    const auto segment = net::parse_tcp(packet);
    if (!segment) return;
    net::reset_packet(*segment);
    net::unreachable_packet(net::Unreachable::host, segment->key.destination, packet);
}

/// What a container's name server knows: itself and a neighbour with two names and a link.
net::DnsNames& served_names() {
    static net::DnsNames names = [] {
        net::DnsNames made;
        made.set_networks(std::vector<net::NetworkSpec>{{.id = "n", .name = "test"}});
        made.add({.container = "asking",
                  .network_id = "n",
                  .address = "172.18.0.3/16",
                  .names = {"asking"},
                  .links = {{"db", "web"}}});
        made.add({.container = "web",
                  .network_id = "n",
                  .address = "172.18.0.2/16",
                  .names = {"web", "alias"}});
        return made;
    }();
    return names;
}

void read_dns(std::string_view bytes) {
    const auto query = net::parse_dns_query(bytes);
    if (!query) return;
    net::reverse_address(query->name);
    if (const auto own = served_names().answer("asking", *query))
        net::dns_reply(*query, *own, net::kPlainUdpLimit);
    net::dns_reply_code(bytes, *query, query->id);
    const net::DnsAnswer answer{.addresses = {IpAddress::parse("172.18.0.2")},
                                .pointer = query->name};
    if (net::dns_reply(*query, answer, query->udp_limit).size() > 65535)
        throw std::runtime_error("a reply beyond its limit");
}

void read_spec(std::string_view bytes) { oci::parse_spec(bytes); }

void read_image(std::string_view bytes) {
    // The same text as each kind of document: a registry may lie about the type.
    for (int kind = 0; kind < 3; ++kind) try {
            if (kind == 0) oci::parse_manifest(bytes);
            if (kind == 1) oci::parse_index(bytes);
            if (kind == 2) oci::parse_image_config(bytes);
        } catch (const Error&) {
            continue;
        }
}

void build_container(std::string_view bytes) {
    engine::model::ContainerRecord record;
    const auto request = engine::model::CreateRequest::from_json(parse_json(bytes));
    record.id = std::string(64, 'a');
    record.config = request.config;
    record.host_config = request.host_config;
    const engine::Settings settings;
    engine::build_spec({.record = record, .settings = settings});
}

void read_http(std::string_view bytes) {
    for (const auto kind :
         {http::MessageParser::Kind::request, http::MessageParser::Kind::response})
        try {
            http::MessageParser parser(kind, 4096);
            std::array<char, 64> body{};
            std::string_view rest = bytes;
            while (!rest.empty() && !parser.done()) {
                const auto progress = parser.put(rest, body);
                if (progress.consumed == 0 && progress.produced == 0) break;
                rest.remove_prefix(progress.consumed);
            }
            parser.put_end();
            http::Query::parse(parser.target);
        } catch (const Error&) {
            continue;
        }
}

void read_log(std::string_view bytes) {
    engine::parse_log_record(bytes);
    engine::first_record(engine::LogFormat::local, bytes);
    engine::parse_local_record(bytes);
}

void read_websocket(std::string_view bytes) { shim::WebsocketInput().feed(bytes); }

void read_shim_messages(std::string_view bytes) {
    for (int kind = 0; kind < 4; ++kind) try {
            if (kind == 0) shim::parse_request(bytes);
            if (kind == 1) shim::parse_from_shim(bytes);
            if (kind == 2) shim::parse_shim_config(bytes);
            if (kind == 3) shim::parse_exit_record(bytes);
        } catch (const Error&) {
            continue;
        }
}

std::string tar_member(const std::string& name, char type, const std::string& content) {
    std::string block(512, '\0');
    block.replace(0, name.size(), name);
    block.replace(100, 7, "0000644");
    block.replace(108, 7, "0000000");
    block.replace(116, 7, "0000000");
    block.replace(124, 11, fmt::format("{:011o}", content.size()));
    block.replace(136, 11, "00000000000");
    block.replace(148, 8, "        ");
    block[156] = type;
    block.replace(257, 8,
                  std::string("ustar\0"
                              "00",
                              8));
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    block.replace(148, 7, fmt::format("{:06o}", sum) + '\0');
    std::string padded = content;
    padded.resize((content.size() + 511) / 512 * 512);
    return block + padded;
}

std::string pax(const std::string& key, const std::string& value) {
    const std::string rest = " " + key + "=" + value + "\n";
    return std::to_string(rest.size() + 2) + rest;  // of two digits, as all are here
}

std::vector<std::string> tars() {
    const std::string end(1024, '\0');
    const std::string sparse = pax("GNU.sparse.major", "1") + pax("GNU.sparse.minor", "0") +
                               pax("GNU.sparse.name", "name") + pax("GNU.sparse.realsize", "10000");
    const std::string map = "1\n512\n3\n";
    return {tar_member("file", '0', "content") + end,
            tar_member("x", 'x', pax("path", "long/name")) + tar_member("f", '0', "") + end,
            tar_member("x", 'x', sparse) +
                tar_member("f", '0', map + std::string(512 - map.size(), '\0') + "abc") + end,
            tar_member("l", 'L', std::string(200, 'n')) + tar_member("f", '0', "x") + end,
            tar_member("g", 'g', pax("comment", "something")) + tar_member("f", '0', "x") + end};
}

constexpr const char* kCreate =
    R"({"Image":"busybox","Cmd":["a"],"Env":["A=B"],"ExposedPorts":{"80/tcp":{}},"HostConfig":{"Binds":["/a:/b:ro"],)"
    R"("Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":1,"Mode":511}}],"Memory":9000000,)"
    R"("PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"1-2"}]},"Ulimits":[{"Name":"nofile","Soft":1,"Hard":2}],)"
    R"("Devices":[{"PathOnHost":"/dev/null"}],"SecurityOpt":["seccomp=unconfined"],"CapAdd":["ALL"],"Tmpfs":{"/x":"size=1m"},)"
    R"("NetworkMode":"none","ConsoleSize":[1,2],"Sysctls":{"net.a":"1"}}})";
constexpr const char* kSpec =
    R"({"ociVersion":"1.0.2","process":{"args":["a"],"cwd":"/","user":{"uid":0,"gid":0,"additionalGids":[1]},)"
    R"("rlimits":[{"type":"RLIMIT_NOFILE","soft":1,"hard":1}],"capabilities":{"bounding":["CAP_CHOWN"]}},"root":{"path":"r"},)"
    R"("mounts":[{"destination":"/p","type":"proc","source":"proc","options":["ro"]}],"linux":{"namespaces":[{"type":"mount"},{"type":"pid"}],)"
    R"("seccomp":{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[{"names":["read"],"action":"SCMP_ACT_ALLOW","args":[)"
    R"({"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]},"resources":{"memory":{"limit":1},"pids":{"limit":1}}}})";
constexpr const char* kImage =
    R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":)"
    R"("application/vnd.oci.image.config.v1+json","size":2,"digest":"sha256:)"
    R"(e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},"layers":[],"manifests":[],"architecture":"amd64",)"
    R"("os":"linux","created":"2024-01-01T00:00:00Z","rootfs":{"type":"layers","diff_ids":[]},"history":[{"created":)"
    R"("2024-01-01T00:00:00Z","empty_layer":true}]})";
constexpr const char* kRequest =
    R"({"v":1,"type":"exec","seq":1,"exec_id":"e","process":{"args":["a"],"cwd":"/"},"terminal":false,"stdin":true,)"
    R"("stdout":true,"stderr":true,"framing":"raw","detach_keys":"10","prefix":"00","exit_code":1,"exited_at":5,"oom":false})";

}  // namespace

namespace {
std::vector<Target> document_targets() {
    return {
        {"tar", read_tar, tars()},
        {"compression",
         read_compressed,
         {std::string("\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 20),
          std::string("\x28\xb5\x2f\xfd\x24\0\x01\0\0\x99\xe9\xd8\x51", 13),
          "\xfd\x37\x7a\x58\x5a\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x16\0\0\0\x74\x2f\xe5\xa3\x01"
          "\0\x02\x61\x62\x63\0\0"
          "\x27\x76\x27\x1a\x4a\x09\xd8\x2c\0\x01\x1b\x03\x0b\x2f\xb9\x10\x1f\xb6\xf3\x7d\x01\0\0\0\0\x04\x59\x5a"s,
          "\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x64\x8c\xbb\x73\0\0\0\x01\0\x38\0\x20\0\x21\x98"
          "\x19\x84\x61\x77"
          "\x24\x53\x85\x09\x06\x48\xcb\xb7\x30"s}},
        {"packet",
         answer_packet,
         {"\x45\0\0\x2c\0\0\x40\0\x3f\x06\0\0\x0a\x58\0\2\xc0\0\2\x09\x9c\x40\0\x50\1\2\3\4\0\0\0\0\x60\2\xff\xff\0\0\0\0\2\4\5\xb4"s,
          "\x60\0\0\0\0\x20\0\x3f"s + std::string(16, 'a') + std::string(16, 'b') +
              "\6\0\1\4\0\0\0\0\x9c\x40\0\x50\1\2\3\4\0\0\0\0\x60\2\xff\xff\0\0\0\0\2\4\5\xb4"s}},
        {"dns",
         read_dns,
         {"\x12\x34\1\0\0\1\0\0\0\0\0\1\3web\4test\0\0\1\0\1\0\0\x29\x10\0\0\0\0\0\0\0"s,
          "\x12\x34\1\0\0\1\0\0\0\0\0\0\1"
          "2\1"
          "0\2"
          "18\3"
          "172\7in-addr\4arpa\0\0\x0c\0\1"s,
          "\x12\x34\x81\x80\0\1\0\1\0\0\0\0\3web\0\0\1\0\1\xc0\x0c\0\1\0\1\0\0\2\x58\0\4\xac\x12\0\2"s}},
        {"reference",
         read_reference,
         {"docker.io/library/"
          "a_b.c-d:tag@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          "[::1]:5000/x/y"}},
        {"runtime_spec", read_spec, {kSpec}},
        {"image", read_image, {kImage}},
        {"create", build_container, {kCreate}},
        {"http",
         read_http,
         {"POST /a?b=%20 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: "
          "u\r\n\r\n",
          "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"}},
        {"log",
         read_log,
         {R"({"log":"a\n","stream":"stdout","attrs":{"a":"b"},"time":"2024-01-01T00:00:00.123456789Z"})"}},
        {"websocket", read_websocket, {"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"}},
        {"shim", read_shim_messages, {kRequest}}};
}
}  // namespace

const std::vector<Target>& targets() {
    static const std::vector<Target> kTargets = [] {
        std::vector<Target> all = document_targets();
        for (const auto& more : {image_targets(), request_targets(), state_targets()})
            all.insert(all.end(), more.begin(), more.end());
        return all;
    }();
    return kTargets;
}

}  // namespace berth::fuzz
