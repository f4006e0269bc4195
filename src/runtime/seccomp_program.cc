#include "runtime/seccomp_program.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace berth::runtime {
namespace {

using Context = std::unique_ptr<void, decltype(&::seccomp_release)>;

// Bump when the prologue below changes, so that no old program is used.
constexpr std::string_view kCacheVersion = "berth-seccomp-1";

#if defined(__x86_64__)
constexpr std::uint32_t kAuditArchitecture = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kAuditArchitecture = AUDIT_ARCH_AARCH64;
#elif defined(__riscv)
constexpr std::uint32_t kAuditArchitecture = AUDIT_ARCH_RISCV64;
#endif

struct NewCall final {
    std::string_view name;
    std::uint32_t number;
};
// Calls that are younger than libseccomp 2.5.4; their numbers are the same on all architectures.
constexpr NewCall kNewCalls[] = {
    {"cachestat", 451},    {"fchmodat2", 452},     {"map_shadow_stack", 453}, {"futex_wake", 454},
    {"futex_wait", 455},   {"futex_requeue", 456}, {"statmount", 457},        {"listmount", 458},
    {"mseal", 462},        {"setxattrat", 463},    {"getxattrat", 464},       {"listxattrat", 465},
    {"removexattrat", 466}};
constexpr std::uint32_t kLastKnownCall = 469;
constexpr std::uint32_t kX32Bit = 0x40000000;

struct Word final {
    std::string_view name;
    std::uint32_t value;
};

std::uint32_t action_of(const std::string& name, std::optional<unsigned> errno_ret) {
    const unsigned number = errno_ret.value_or(EPERM);
    if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(number);
    if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(number);
    constexpr Word kActions[] = {{"SCMP_ACT_ALLOW", SCMP_ACT_ALLOW},
                                 {"SCMP_ACT_KILL", SCMP_ACT_KILL},
                                 {"SCMP_ACT_KILL_THREAD", SCMP_ACT_KILL_THREAD},
                                 {"SCMP_ACT_KILL_PROCESS", SCMP_ACT_KILL_PROCESS},
                                 {"SCMP_ACT_TRAP", SCMP_ACT_TRAP},
                                 {"SCMP_ACT_LOG", SCMP_ACT_LOG}};
    for (const Word& entry : kActions)
        if (entry.name == name) return entry.value;
    throw Error(name == "SCMP_ACT_NOTIFY" ? ErrorKind::unsupported : ErrorKind::invalid,
                "linux.seccomp: action \"{}\" is not supported", name);
}

scmp_compare operator_of(const std::string& name) {
    constexpr Word kOperators[] = {{"SCMP_CMP_NE", SCMP_CMP_NE},
                                   {"SCMP_CMP_LT", SCMP_CMP_LT},
                                   {"SCMP_CMP_LE", SCMP_CMP_LE},
                                   {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                   {"SCMP_CMP_GE", SCMP_CMP_GE},
                                   {"SCMP_CMP_GT", SCMP_CMP_GT},
                                   {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};
    for (const Word& entry : kOperators)
        if (entry.name == name) return static_cast<scmp_compare>(entry.value);
    throw Error(ErrorKind::invalid, "linux.seccomp: unknown operator \"{}\"", name);
}

void check(int result, const char* what) {
    if (result < 0) throw Error::from_errno(-result, std::string("linux.seccomp: ") + what);
}

void add_architectures(scmp_filter_ctx context, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        const std::string lower = to_lower(name.starts_with("SCMP_ARCH_") ? name.substr(10) : name);
        const std::uint32_t token = seccomp_arch_resolve_name(lower.c_str());
        if (token == 0)
            throw Error(ErrorKind::invalid, "linux.seccomp: unknown architecture \"{}\"", name);
        const int result = seccomp_arch_add(context, token);
        if (result != -EEXIST) check(result, "adding an architecture");
    }
}

std::vector<scmp_arg_cmp> comparisons(const oci::SeccompRule& rule) {
    std::vector<scmp_arg_cmp> list;
    for (const oci::SeccompArg& arg : rule.args) {
        scmp_arg_cmp one{};
        one.arg = arg.index;
        one.op = operator_of(arg.op);
        // For MASKED_EQ the specification's value is the mask and valueTwo the expected result.
        one.datum_a = arg.value;
        one.datum_b = arg.value_two;
        list.push_back(one);
    }
    return list;
}

void add_rule(scmp_filter_ctx context, const oci::SeccompRule& rule, std::uint32_t fallback) {
    const std::uint32_t action = action_of(rule.action, rule.errno_ret);
    if (action == fallback) return;  // libseccomp refuses a rule that says what happens anyway
    const auto args = comparisons(rule);
    for (const std::string& name : rule.names) {
        const int number = seccomp_syscall_resolve_name(name.c_str());
        if (number == __NR_SCMP_ERROR) continue;  // other architecture, or younger: see prologue
        check(seccomp_rule_add_array(context, action, number, static_cast<unsigned>(args.size()),
                                     args.data()),
              name.c_str());
    }
}

std::vector<sock_filter> export_program(scmp_filter_ctx context) {
    const UniqueFd memory{static_cast<int>(::syscall(SYS_memfd_create, "bpf", MFD_CLOEXEC))};
    if (!memory) throw_errno("making memory for the seccomp program");
    check(seccomp_export_bpf(context, memory.get()), "exporting the program");
    ::lseek(memory.get(), 0, SEEK_SET);
    const std::string bytes = read_all(memory);
    std::vector<sock_filter> program(bytes.size() / sizeof(sock_filter));
    std::memcpy(program.data(), bytes.data(), program.size() * sizeof(sock_filter));
    return program;
}

bool allows(const oci::Seccomp& policy, std::string_view name) {
    for (const oci::SeccompRule& rule : policy.rules)
        if (rule.action == "SCMP_ACT_ALLOW" && rule.args.empty())
            for (const std::string& entry : rule.names)
                if (entry == name) return true;
    return false;
}

/// Runs before libseccomp's program on the native architecture: calls that this libseccomp does
/// not know by name are allowed when listed, and those that nobody knew when the policy was
/// written answer ENOSYS, so that libc falls back instead of failing.
std::vector<sock_filter> prologue(const oci::Seccomp& policy) {
    std::vector<sock_filter> body;
    const auto add = [&body](std::uint16_t code, std::uint32_t k, std::uint8_t yes = 0,
                             std::uint8_t no = 0) {
        body.push_back({code, yes, no, k});
    };
    for (const NewCall& call : kNewCalls)
        if (allows(policy, call.name)) {
            add(BPF_JMP | BPF_JEQ | BPF_K, call.number, 0, 1);
            add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
        }
    add(BPF_JMP | BPF_JGE | BPF_K, kX32Bit, 2, 0);
    add(BPF_JMP | BPF_JGT | BPF_K, kLastKnownCall, 0, 1);
    add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    std::vector<sock_filter> program{
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)},
        {BPF_JMP | BPF_JEQ | BPF_K, 0, static_cast<std::uint8_t>(body.size() + 1),
         kAuditArchitecture},
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)}};
    program.insert(program.end(), body.begin(), body.end());
    return program;
}

unsigned filter_flags(const oci::Seccomp& policy) {
    unsigned flags = 0;
    for (const std::string& name : policy.flags) {
        if (name == "SECCOMP_FILTER_FLAG_LOG")
            flags |= SECCOMP_FILTER_FLAG_LOG;
        else if (name == "SECCOMP_FILTER_FLAG_SPEC_ALLOW")
            flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        else if (name != "SECCOMP_FILTER_FLAG_TSYNC")  // one thread only: nothing to synchronise
            throw Error(ErrorKind::unsupported, "linux.seccomp: flag \"{}\" is not supported",
                        name);
    }
    return flags;
}

/// The cached program behind the policy's text; empty when the file is not that policy's.
std::vector<sock_filter> cached_program(const std::string& path, const std::string& text) {
    const auto content = read_file_if_exists(path);
    if (!content || !content->starts_with(text)) return {};
    const std::string_view rest = std::string_view(*content).substr(text.size());
    if (rest.empty() || rest.size() % sizeof(sock_filter) != 0) return {};
    std::vector<sock_filter> program(rest.size() / sizeof(sock_filter));
    std::memcpy(program.data(), rest.data(), rest.size());
    return program;
}

}  // namespace

SeccompProgram compile_seccomp(const oci::Seccomp& policy) {
    const std::uint32_t fallback = action_of(policy.default_action, policy.default_errno_ret);
    const Context context{seccomp_init(fallback), &::seccomp_release};
    if (!context) throw Error(ErrorKind::internal, "linux.seccomp: libseccomp does not start");
    add_architectures(context.get(), policy.architectures);
    // A binary tree instead of a list: 8 comparisons a call instead of hundreds.
    check(seccomp_attr_set(context.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2), "optimising");
    for (const oci::SeccompRule& rule : policy.rules) add_rule(context.get(), rule, fallback);
    SeccompProgram program;
    program.flags = filter_flags(policy);
    if (policy.default_action == "SCMP_ACT_ERRNO") program.instructions = prologue(policy);
    const auto body = export_program(context.get());
    program.instructions.insert(program.instructions.end(), body.begin(), body.end());
    if (program.instructions.size() > BPF_MAXINSNS)
        throw Error(ErrorKind::invalid, "linux.seccomp: the policy is too large");
    return program;
}

SeccompProgram obtain_seccomp(const oci::Seccomp& policy, const std::string& directory) {
    const std::string text = fmt::format("{} {:x}\n{}\n", kCacheVersion, kAuditArchitecture,
                                         dump_json(oci::to_json(policy)));
    const std::string path = fmt::format("{}/{:016x}.bpf", directory, fnv1a(text));
    if (auto cached = cached_program(path, text); !cached.empty())
        return {std::move(cached), filter_flags(policy)};
    SeccompProgram program = compile_seccomp(policy);
    const auto* bytes = reinterpret_cast<const char*>(program.instructions.data());
    try {
        make_directories(directory, 0700);
        replace_file(path,
                     text + std::string(bytes, program.instructions.size() * sizeof(sock_filter)),
                     0600, Durability::process);
    } catch (const Error&) {
        // Only the next start is slower.
    }
    return program;
}

void load_seccomp(const SeccompProgram& program) {
    sock_fprog filter{};
    filter.len = static_cast<unsigned short>(program.instructions.size());
    filter.filter = const_cast<sock_filter*>(program.instructions.data());
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, program.flags, &filter) < 0)
        throw_errno("loading the seccomp policy");
}

}  // namespace berth::runtime
