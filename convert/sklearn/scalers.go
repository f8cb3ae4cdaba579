package sklearn

import (
	"fmt"

	"github.com/edge-infer/edge-infer/convert/joblib"
	"github.com/edge-infer/edge-infer/convert/pickle"
)

// scaler reads one step of a Pipeline.
//
//	StandardScaler  (x - mean_) / scale_       without the part that with_mean, with_std leave out
//	RobustScaler    (x - center_) / scale_     likewise with_centering, with_scaling
//	MinMaxScaler    x * scale_ + min_          then into feature_range if clip
//	Normalizer      x / norm(x)
func (m *Model) scaler(o *pickle.Object) (s Scaler, err error) {
	f := &fields{m: m, o: o}
	switch o.Class.Name {
	case "StandardScaler":
		s.Kind = "standard"
		if s.Center, err = f.vector("mean_", f.flag("with_mean", true)); err == nil {
			s.Scale, err = f.vector("scale_", f.flag("with_std", true))
		}
	case "RobustScaler":
		s.Kind = "robust"
		if s.Center, err = f.vector("center_", f.flag("with_centering", true)); err == nil {
			s.Scale, err = f.vector("scale_", f.flag("with_scaling", true))
		}
	case "MinMaxScaler":
		s.Kind, s.Clip = "minmax", f.flag("clip", false)
		if s.Center, err = f.vector("min_", true); err == nil {
			s.Scale, err = f.vector("scale_", true)
		}
		if err == nil && s.Clip {
			n, _ := f.get("feature_range")
			pair, ok := pickle.AsItems(n)
			if !ok || len(pair) != 2 {
				return s, fmt.Errorf("feature_range is %s", pickle.Describe(n))
			}
			s.Low, s.High = float(pair[0]), float(pair[1])
			if !(s.Low <= s.High) {
				return s, fmt.Errorf("feature_range is %v to %v", s.Low, s.High)
			}
		}
	case "Normalizer":
		n, _ := f.get("norm")
		norm, ok := joblib.Text(n)
		if !ok || norm != "l1" && norm != "l2" && norm != "max" {
			return s, fmt.Errorf("norm is %s %.20q; l1, l2 and max are known", pickle.Describe(n), norm)
		}
		s.Kind, s.Norm = "normalizer", norm
	case Classifier, Regressor, Neighbors:
		return s, fmt.Errorf("is a model where a scaler was expected")
	default:
		return s, fmt.Errorf("is not supported; StandardScaler, MinMaxScaler, RobustScaler and Normalizer are")
	}
	return s, err
}
