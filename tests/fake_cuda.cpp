// A CPU build of torch refuses device="cuda" even for tensors without data: it has nothing that could make a
// device the current one. This is that, and does nothing.
#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace {
struct OneDevice final : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::CUDA> {
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
};
}  // namespace

C10_REGISTER_GUARD_IMPL(CUDA, OneDevice)
